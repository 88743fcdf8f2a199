package mesh

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

const (
	// exportToOwn shows a Service to its own namespace alone.
	exportToOwn = "."
	// exportToAll shows it to every namespace; Sidecars still bound what proxies are sent.
	exportToAll = "*"
)

// exportTo lists the namespaces that an application's Istio objects are visible to, sorted: its own, and those of its
// audience. A zero audience is nobody.
func exportTo(namespace string, audience record.Audience) ([]string, error) {
	if audience.Everyone {
		return []string{exportToAll}, nil
	}
	list := make([]string, 1, len(audience.Namespaces)+2)
	list[0] = exportToOwn
	for i, ns := range audience.Namespaces {
		if !isLabel(ns) {
			return nil, fmt.Errorf("audience of %s/%s: namespaces[%d]: %q is not a DNS label",
				audience.Namespace, audience.Application, i, ns)
		}
		if ns != namespace {
			list = append(list, ns)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// serviceExportTo is the annotation of a Service. The gateway's namespace is in it where, and only where, calls come from
// other networks: a gateway is sent clusters for every port of every Service that is exported to it.
func serviceExportTo(cluster record.Cluster, namespace string, audience record.Audience) (string, error) {
	list, err := exportTo(namespace, audience)
	if err != nil {
		return "", err
	}
	gateway := cluster.Mesh.Gateway
	if calledThroughGateway(cluster, audience) && !audience.Everyone && gateway.Namespace != namespace {
		if !isLabel(gateway.Namespace) {
			return "", fmt.Errorf("cluster %s: mesh.gateway.namespace: %q is not a DNS label", cluster.Name, gateway.Namespace)
		}
		list = append(list, gateway.Namespace)
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return strings.Join(list, ","), nil
}

// calledThroughGateway tells whether consumers on other networks reach the application by the cluster's gateway.
func calledThroughGateway(cluster record.Cluster, audience record.Audience) bool {
	return hasGateway(cluster) &&
		slices.ContainsFunc(audience.Networks, func(n string) bool { return n != cluster.Network })
}

// hasGateway: an east-west gateway without addresses is none.
func hasGateway(cluster record.Cluster) bool {
	return inMesh(cluster) && len(cluster.Mesh.Gateway.Addresses) > 0
}

func checkSubject(what, namespace, application, wantNamespace, wantApplication string) error {
	if namespace != wantNamespace || application != wantApplication {
		return fmt.Errorf("the %s is of %s/%s", what, namespace, application)
	}
	return nil
}

// checkAddress takes IP addresses alone: Istio takes anything for a STATIC endpoint, and Envoy refuses the cluster.
func checkAddress(field, address string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%s: %q is not the IP address of a host", field, address)
	}
	return ip.Unmap(), nil
}
