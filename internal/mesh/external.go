package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// ExternalInput is all that istiod is told about an ExternalService that its proxies call.
type ExternalInput struct {
	// Cluster is the one whose istiod it is.
	Cluster record.Cluster
	// Service has External set.
	Service record.Service
	// Audience is zero where it is not known.
	Audience record.Audience
}

// ReasonAddressPending is the reason of the problem that consumers of an ExternalService are told while it has ports that need
// an address and has none.
const ReasonAddressPending = "AddressPending"

// External compiles what istiod is told about an ExternalService that its proxies call: a ServiceEntry, and DestinationRules
// where proxies begin TLS, or prefer where they are themselves. What a caller's own credential needs is the caller's (Config).
// Ports that need an address are left out until there is one, which the problems say; without any port there is nothing, nor
// is there without a mesh.
func External(in ExternalInput) ([]Object, []record.Problem, error) {
	if !inMesh(in.Cluster) {
		return nil, nil, nil
	}
	e, err := readExternal(in.Service)
	if err != nil {
		return nil, nil, err
	}
	visible, err := exportTo(e.namespace, in.Audience)
	if err != nil {
		return nil, nil, err
	}
	problems := e.pending()
	if len(e.ports) == 0 {
		return nil, problems, nil
	}
	return append(e.destinationRules(visible), e.serviceEntry(visible)), problems, nil
}

// external is an ExternalService, checked.
type external struct {
	namespace, name string
	// all are its ports, ports those of them that the mesh can carry, and waiting names those that need an address first.
	all, ports []record.Port
	waiting    []string
	// hosts and endpoints are sorted; without endpoints it is where DNS says.
	hosts     []string
	endpoints []endpoint
	// address is invalid where there is none.
	address netip.Addr
	tls     *record.ExternalTLS
}

// endpoint is one place of an ExternalService; an empty locality is anywhere.
type endpoint struct {
	address  netip.Addr
	locality string
}

// application is what the objects' label says: a name that no application has.
func (e *external) application() string { return record.ExternalName(e.name) }

// title is what people call it.
func (e *external) title() string {
	return "ExternalService " + record.ServiceName(e.namespace, e.name)
}

func (e *external) draft(kind, name string, spec fields) draft {
	return draft{id: idOf(groupNetworking, "v1", kind, e.namespace, name), application: e.application(), spec: spec}
}

// pending tells of the ports that wait for an address.
func (e *external) pending() []record.Problem {
	if len(e.waiting) == 0 {
		return nil
	}
	return []record.Problem{{Object: e.title(), Reason: ReasonAddressPending, Message: fmt.Sprintf(
		"%s has no address yet and is not called at %s until it has: the mesh tells no hosts apart there; look at its condition Allocated",
		e.title(), few(e.waiting))}}
}

// serviceEntry is named with a dot, which no application's objects are. Without an address of IPAM's, istiod may give the hosts
// some of its own (PILOT_ENABLE_IP_AUTOALLOCATE), by which proxies that answer DNS find those that DNS does not know.
func (e *external) serviceEntry(exportTo []string) Object {
	ports := make([]any, len(e.ports))
	for i, p := range e.ports {
		port := fields{{"name", p.Name}, {"number", p.Port}, {"protocol", strings.ToUpper(cmp.Or(p.AppProtocol, "tcp"))}}
		if p.TargetPort != p.Port {
			port = append(port, field{"targetPort", p.TargetPort})
		}
		ports[i] = port
	}
	spec := fields{{"hosts", e.hosts}, {"location", "MESH_EXTERNAL"}, {"ports", ports}, {"exportTo", exportTo}}
	if e.address.IsValid() {
		spec = append(spec, field{"addresses", []string{e.address.String()}})
	}
	if len(e.endpoints) == 0 {
		return e.draft("ServiceEntry", e.application(), append(spec, field{"resolution", "DNS"})).seal()
	}
	endpoints := make([]any, len(e.endpoints))
	for i, at := range e.endpoints {
		point := fields{{"address", at.address.String()}}
		if at.locality != "" {
			point = append(point, field{"locality", at.locality})
		}
		endpoints[i] = point
	}
	return e.draft("ServiceEntry", e.application(),
		append(spec, field{"resolution", "STATIC"}, field{"endpoints", endpoints})).seal()
}

// externalsOf are the known ExternalServices among the dependencies, sorted. One that cannot be compiled is called by nobody,
// which its own unit tells: it is left out here, so that what else an application is made of does not suffer.
func externalsOf(dependencies []string, services []record.Service) []*external {
	var out []*external
	for _, s := range services {
		if !isExternal(s) || !slices.Contains(dependencies, record.ServiceName(s.Namespace, s.Application)) {
			continue
		}
		if e, err := readExternal(s); err == nil {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *external) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return slices.CompactFunc(out, func(a, b *external) bool { return a.namespace == b.namespace && a.name == b.name })
}

// isExternal tells whether a service record is of an ExternalService.
func isExternal(s record.Service) bool {
	_, named := record.CutExternal(s.Application)
	return named || s.External != nil
}
