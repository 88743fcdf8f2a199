package mesh_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	api "istio.io/api/networking/v1alpha3"
)

// byHost are the protocols, as istiod spells them, whose ports several hosts may share and that need no address.
var byHost = []string{"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS"}

// externalEntry is what Istio's schemas leave out of a ServiceEntry for what is outside the mesh.
func externalEntry(spec *api.ServiceEntry, name string) (wrong []string) {
	hold := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	hold(strings.HasSuffix(name, ".external"), "name %s", name)
	hold(goodExportTo(spec.ExportTo), "exportTo %v", spec.ExportTo)
	hold(len(spec.Hosts) > 0 && slices.IsSorted(spec.Hosts), "hosts %v", spec.Hosts)
	for _, host := range spec.Hosts {
		_, notIP := netip.ParseAddr(host)
		last := host[strings.LastIndexByte(host, '.')+1:]
		hold(strings.Contains(host, ".") && notIP != nil && !strings.HasSuffix(host, ".cluster.local") && !strings.Contains(host, "*"), "host %s", host)
		hold(strings.ContainsAny(last, "abcdefghijklmnopqrstuvwxyz") && last != "svc", "host %s ends with %s", host, last)
	}
	hold(len(spec.Addresses) <= 1, "addresses %v", spec.Addresses)
	for _, address := range spec.Addresses {
		_, err := netip.ParseAddr(address)
		hold(err == nil, "address %s", address)
	}
	hold(len(spec.Ports) > 0, "no ports")
	for _, p := range spec.Ports {
		named := slices.Contains(byHost, p.Protocol)
		hold(named || slices.Contains([]string{"TCP", "MONGO", "MYSQL", "REDIS"}, p.Protocol), "protocol %s", p.Protocol)
		hold(named || len(spec.Addresses) == 1 && len(spec.Hosts) == 1, "port %s cannot be told apart", p.Name)
		hold(p.TargetPort != p.Number, "targetPort of %s says nothing", p.Name)
	}
	switch spec.Resolution {
	case api.ServiceEntry_STATIC:
		hold(len(spec.Endpoints) > 0 && len(spec.Endpoints) <= 64, "%d endpoints", len(spec.Endpoints))
	case api.ServiceEntry_DNS:
		hold(len(spec.Endpoints) == 0, "endpoints beside DNS")
	default:
		hold(false, "resolution %s", spec.Resolution)
	}
	for _, e := range spec.Endpoints {
		_, err := netip.ParseAddr(e.Address)
		hold(err == nil && e.Network == "" && e.ServiceAccount == "" && len(e.Labels) == 0 && !strings.HasPrefix(e.Locality, "/"), "endpoint %v", e)
	}
	return wrong
}

// externalRule is what they leave out of a DestinationRule about such a host.
func externalRule(spec *api.DestinationRule, name string) (wrong []string) {
	hold := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	callers := strings.Contains(name, ".calls-")
	hold(callers || strings.Contains(name, ".external-"), "name %s", name)
	hold(goodExportTo(spec.ExportTo), "exportTo %v", spec.ExportTo)
	hold(callers == (len(spec.ExportTo) == 1 && spec.ExportTo[0] != "." && spec.ExportTo[0] != "*"), "exportTo %v can be taken for that of other rules", spec.ExportTo)
	hold(callers == (len(spec.WorkloadSelector.GetMatchLabels()) == 1), "workloadSelector %v", spec.WorkloadSelector)
	policy := spec.TrafficPolicy
	locality := policy.GetLoadBalancer().GetLocalityLbSetting() != nil
	hold(locality == (policy.OutlierDetection != nil), "failover without outlier detection")
	hold(locality || len(policy.PortLevelSettings) > 0, "it says nothing")
	for _, p := range policy.PortLevelSettings {
		hold(locality == (p.GetLoadBalancer().GetLocalityLbSetting() != nil && p.OutlierDetection != nil), "port %v loses the host's settings", p.Port)
		hold(p.Tls.Sni != "" && len(p.Tls.SubjectAltNames) > 0, "port %v has the server's name checked by nobody", p.Port)
		hold((p.Tls.CredentialName != "") == callers, "port %v: a credentialName without a workloadSelector, or the other way round", p.Port)
		hold(p.Tls.Mode == api.ClientTLSSettings_SIMPLE || callers && p.Tls.Mode == api.ClientTLSSettings_MUTUAL, "port %v: mode %s", p.Port, p.Tls.Mode)
	}
	return wrong
}
