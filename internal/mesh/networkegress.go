package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

const (
	portDNS = 53
	// portIstiod serves configuration and certificates to proxies.
	portIstiod = 15012
	// portGateway is that of every east-west gateway.
	portGateway = 15443
)

func (in *WorkloadInput) egress() ([]any, error) {
	s, meshed := in.Spec, inMesh(in.Cluster)
	rules := []any{
		map[string]any{"ports": portList([]int32{portDNS}, []int32{portDNS})},
		map[string]any{"to": []any{map[string]any{"podSelector": map[string]any{"matchLabels": selectorOf(s.application)}}}},
	}
	if meshed {
		rules = append(rules, in.toIstiod())
	}
	services, err := in.dependencies()
	if err != nil {
		return nil, err
	}
	for _, d := range services {
		rules = append(rules, map[string]any{"to": []any{podsOf(d.Namespace, d.Application)},
			"ports": portList(targets(d.Ports, "TCP"), targets(d.Ports, "UDP"))})
	}
	if meshed {
		remote, err := in.toRemotes(services)
		if err != nil {
			return nil, err
		}
		rules = append(rules, remote...)
	}
	return in.toPlatform(rules)
}

// dependencies are the known ones that can be called, sorted, the application itself left out.
func (in *WorkloadInput) dependencies() ([]record.Service, error) {
	wanted := make(map[string]bool, len(in.Binding.Dependencies))
	for _, d := range in.Binding.Dependencies {
		wanted[d] = true
	}
	delete(wanted, record.ServiceName(in.Spec.namespace, in.Spec.application))
	var out []record.Service
	for _, d := range in.Services {
		name := record.ServiceName(d.Namespace, d.Application)
		if !wanted[name] || len(d.Ports) == 0 {
			continue
		}
		if err := checkService(d); err != nil {
			return nil, err
		}
		delete(wanted, name)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b record.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Application, b.Application))
	})
	return out, nil
}

// toIstiod: the address of another cluster's istiod is not in the inventory.
func (in *WorkloadInput) toIstiod() map[string]any {
	rule := map[string]any{"ports": portList([]int32{portIstiod}, nil)}
	if primary := in.Cluster.Mesh.Primary; primary == "" || primary == in.Cluster.Name {
		rule["to"] = []any{map[string]any{"namespaceSelector": namespaceSelector(in.Cluster.Mesh.RootNamespace)}}
	}
	return rule
}

// toRemotes opens the way to the gateways of other networks, and on this one to all pods at the dependencies' ports.
func (in *WorkloadInput) toRemotes(services []record.Service) ([]any, error) {
	var gateways []netip.Addr
	flat := false
	for _, place := range in.Remotes {
		if place.Network == in.Cluster.Network {
			flat = flat || place.Cluster != in.Cluster.Name
			continue
		}
		for i, address := range place.Gateways {
			ip, err := checkAddress(fmt.Sprintf("place %s: gateways[%d]", place.Cluster, i), address)
			if err != nil {
				return nil, err
			}
			gateways = append(gateways, ip)
		}
	}
	var rules []any
	if len(gateways) > 0 {
		slices.SortFunc(gateways, netip.Addr.Compare)
		var to []any
		for _, ip := range slices.Compact(gateways) {
			to = append(to, ipBlock(netip.PrefixFrom(ip, ip.BitLen())))
		}
		rules = append(rules, map[string]any{"to": to, "ports": portList([]int32{portGateway}, nil)})
	}
	if !flat {
		return rules, nil
	}
	var ports []int32
	for _, d := range services {
		ports = append(ports, targets(d.Ports, "TCP")...)
	}
	blocks, err := in.podRanges()
	if err != nil {
		return nil, err
	}
	if len(blocks) > 0 && len(ports) > 0 {
		rules = append(rules, map[string]any{"to": blocks, "ports": portList(sortedSet(ports), nil)})
	}
	return rules, nil
}

// toPlatform opens the namespaces of the platform's hosts.
func (in *WorkloadInput) toPlatform(rules []any) ([]any, error) {
	hosts, err := platformHosts(in.Cluster)
	if err != nil {
		return nil, err
	}
	var namespaces []string
	for _, host := range hosts {
		namespace, _, _ := strings.Cut(host, "/")
		namespaces = append(namespaces, namespace)
	}
	var to []any
	for _, namespace := range sortedSet(namespaces) {
		to = append(to, map[string]any{"namespaceSelector": namespaceSelector(namespace)})
	}
	if len(to) > 0 {
		rules = append(rules, map[string]any{"to": to})
	}
	return rules, nil
}
