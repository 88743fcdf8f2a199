package global

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// admitExternal checks what one ExternalService and its Namespace show, and turns the spec into its record, with no
// address yet. What is accepted can be compiled; isNamespace tells which Namespaces there are at the hub.
func admitExternal(x *v1alpha1.ExternalService, namespaceLabels map[string]string, inv *inventory, isNamespace func(string) bool) (record.Service, *refusal) {
	environment, refused := admitTo(x.Namespace, namespaceLabels, inv)
	if refused != nil {
		return record.Service{}, refused
	}
	endpoints, err := endpointsOf(x.Spec.Endpoints)
	if err != nil {
		return record.Service{}, &refusal{v1alpha1.ReasonInvalidSpec, err.Error()}
	}
	out := record.Service{Namespace: x.Namespace, Application: record.ExternalName(x.Name), Environment: environment,
		Tenant: namespaceLabels[v1alpha1.LabelTenant], Ports: externalPorts(x.Spec.Ports),
		External: &record.External{Hosts: slices.Clone(x.Spec.Hosts), Endpoints: endpoints}}
	if t := x.Spec.TLS; t != nil {
		out.External.TLS = &record.ExternalTLS{Mutual: t.Mode == v1alpha1.ExternalTLSMutual, CredentialName: t.CredentialName,
			SNI: t.SNI, SubjectAltNames: slices.Sorted(slices.Values(t.SubjectAltNames))}
	}
	for i, host := range out.External.Hosts {
		if name, namespace, _ := strings.Cut(host, "."); isNamespace(namespace) {
			return record.Service{}, &refusal{v1alpha1.ReasonInvalidSpec, fmt.Sprintf(
				"spec.hosts[%d]: by %s callers call application %s of namespace %s, which there is; give a name outside the mesh", i, host, name, namespace)}
		}
	}
	if own, opaque := slices.IndexFunc(out.Ports, ownTLS), slices.IndexFunc(out.Ports, opaquePort); own >= 0 && opaque >= 0 {
		return record.Service{}, &refusal{v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.ports[%d].appProtocol: %s beside port %s, which needs "+
			"an address, is called at that address too, and callers without DNS capture do not find it; use two ExternalServices with hosts of their own",
			own, out.Ports[own].AppProtocol, out.Ports[opaque].Name)}
	}
	if err := mesh.CheckExternal(out); err != nil { // as people wrote it: it names what is wrong by its place
		return record.Service{}, &refusal{v1alpha1.ReasonInvalidSpec, "spec." + err.Error()}
	}
	slices.Sort(out.External.Hosts)
	slices.SortFunc(out.External.Endpoints, func(a, b record.ExternalEndpoint) int { return cmp.Compare(a.Address, b.Address) })
	return out, nil
}

func externalPorts(ports []v1alpha1.ExternalPort) []record.Port {
	var out []record.Port
	for _, p := range ports {
		out = append(out, record.Port{Name: p.Name, Port: p.Port, TargetPort: cmp.Or(p.TargetPort, p.Port), Protocol: "TCP",
			AppProtocol: p.AppProtocol})
	}
	return out
}

// endpointsOf reads where an ExternalService is. The schema has it that each is an IP address; that two
// are one in other letters it cannot see. What is no machine's own address is refused, as Kubernetes refuses it of
// Endpoints (ValidateNonSpecialIP): it would lead a proxy to its own machine, or to that machine's metadata.
func endpointsOf(spec []v1alpha1.ExternalEndpoint) ([]record.ExternalEndpoint, error) {
	var out []record.ExternalEndpoint
	first := map[netip.Addr]int{}
	for i, e := range spec {
		a, err := netip.ParseAddr(e.Address)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("spec.endpoints[%d].address: %q is not an IP address", i, e.Address)
		}
		a = a.Unmap()
		switch before, again := first[a]; {
		case again:
			return nil, fmt.Errorf("spec.endpoints[%d].address: %s is that of spec.endpoints[%d]; give each once", i, e.Address, before)
		case a.IsUnspecified(), a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsMulticast():
			return nil, fmt.Errorf("spec.endpoints[%d].address: %s is not the address of one machine that others reach; loopback, link-local and multicast ones cannot be called", i, e.Address)
		case e.Zone != "" && e.Region == "":
			return nil, fmt.Errorf("spec.endpoints[%d].zone: %s is of no region; set spec.endpoints[%d].region too", i, e.Zone, i)
		}
		first[a] = i
		out = append(out, record.ExternalEndpoint{Address: a.String(), Region: e.Region, Zone: e.Zone})
	}
	return out, nil
}

// needsAddress tells whether a port needs an address.
func needsAddress(ports []record.Port) bool { return slices.ContainsFunc(ports, opaquePort) }

// opaquePort tells whether a port's protocol is one that the mesh cannot tell apart by host names.
func opaquePort(p record.Port) bool {
	return !slices.Contains([]string{"http", "http2", "grpc", "grpc-web", "https", "tls"}, p.AppProtocol)
}

// ownTLS tells whether callers begin TLS at a port themselves. Istiod has proxies listen for that at the address of the
// ServiceEntry, if it has one, and not at every address as for HTTP.
func ownTLS(p record.Port) bool { return p.AppProtocol == "https" || p.AppProtocol == "tls" }
