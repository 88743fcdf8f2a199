package global

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// admitExternal checks what one ExternalService and its Namespace show, and turns the spec into its record, with no
// address yet.
func admitExternal(x *v1alpha1.ExternalService, namespaceLabels map[string]string, inv *inventory) (record.Service, *refusal) {
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
		External: &record.External{Hosts: slices.Sorted(slices.Values(x.Spec.Hosts)), Endpoints: endpoints}}
	if t := x.Spec.TLS; t != nil {
		out.External.TLS = &record.ExternalTLS{Mutual: t.Mode == v1alpha1.ExternalTLSMutual, CredentialName: t.CredentialName,
			SNI: t.SNI, SubjectAltNames: slices.Sorted(slices.Values(t.SubjectAltNames))}
	}
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

// endpointsOf reads where an ExternalService is, sorted by address. The schema has it that each is an IP address; that two
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
	slices.SortFunc(out, func(a, b record.ExternalEndpoint) int { return cmp.Compare(a.Address, b.Address) })
	return out, nil
}

// needsAddress tells whether a port's protocol is one that the mesh cannot tell apart by host names.
func needsAddress(ports []record.Port) bool {
	return slices.ContainsFunc(ports, func(p record.Port) bool {
		return !slices.Contains([]string{"http", "http2", "grpc", "grpc-web", "https", "tls"}, p.AppProtocol)
	})
}
