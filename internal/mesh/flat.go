package mesh

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// within leaves out the sites on the cluster's network where its pod ranges are not known: on both sides NetworkPolicies
// drop calls between its clusters, so endpoints there would take requests from those that answer.
func (c *callee) within(cluster record.Cluster, sites []Site) ([]Site, []record.Problem) {
	if len(cluster.PodRanges) > 0 {
		return sites, nil
	}
	var clusters []string
	for _, site := range sites {
		if site.Place.Network == c.network && slices.ContainsFunc(site.Locations, hasEndpoints) {
			clusters = append(clusters, site.Place.Cluster)
		}
	}
	if len(clusters) == 0 {
		return nil, nil
	}
	return nil, []record.Problem{c.problem(ReasonPodRangesUnknown,
		"network %s has no podRanges, so NetworkPolicies drop calls between its clusters, and %s is not called in %s; set spec.podRanges of the Network",
		c.network, record.ServiceName(c.service.Namespace, c.service.Application), fewClusters(clusters))}
}

func hasEndpoints(l record.Location) bool { return l.Chunk != "" && len(l.Endpoints) > 0 }

// onNetwork writes one ServiceEntry for each chunk of addresses in another cluster of this network, with the host and the
// namespace of the Service, so that a pod's change rewrites one small object. That istiod merges its endpoints with the
// Service's is how it behaves, not a contract: nothing outside this file relies on it.
func (c *callee) onNetwork(sites []Site) ([]Object, error) {
	var objects []Object
	for _, site := range sites {
		if site.Place.Network != c.network || site.Weightless {
			continue
		}
		for _, l := range site.Locations {
			if !hasEndpoints(l) {
				continue
			}
			endpoints, err := c.endpoints(site.Place, l)
			if err != nil {
				return nil, fmt.Errorf("location %s/%s/%s/%s: %w", l.Namespace, l.Application, l.Cluster, l.Chunk, err)
			}
			objects = append(objects, c.serviceEntry(l, endpoints))
		}
	}
	sortObjects(objects)
	return objects, nil
}

func (c *callee) endpoints(place record.Place, l record.Location) ([]any, error) {
	if len(l.Endpoints) > record.MaxEndpoints {
		return nil, fmt.Errorf("endpoints: %d, more than %d", len(l.Endpoints), record.MaxEndpoints)
	}
	addresses := make([]netip.Addr, len(l.Endpoints))
	for i, e := range l.Endpoints {
		ip, err := checkAddress(fmt.Sprintf("endpoints[%d]", i), e.Address)
		if err != nil {
			return nil, err
		}
		addresses[i] = ip
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	list := make([]any, len(addresses))
	for i, ip := range addresses {
		list[i] = fields{{"address", ip.String()}, {"network", place.Network}, {"locality", locality(place)},
			{"serviceAccount", c.serviceAccount()}, {"labels", c.endpointLabels()}}
	}
	return list, nil
}

func (c *callee) serviceEntry(l record.Location, endpoints []any) Object {
	ports := make([]any, len(c.ports))
	for i, p := range c.ports {
		port := fields{{"name", p.Name}, {"number", p.Port}, {"targetPort", p.TargetPort}}
		if protocol := meshProtocol(p); protocol != "" {
			port = append(port, field{"protocol", protocol})
		}
		ports[i] = port
	}
	d := c.draft(groupNetworking, "v1", "ServiceEntry", c.nameFor(l.Cluster+"/"+l.Chunk), fields{
		{"hosts", []string{hostOf(c.service.Namespace, c.service.Application)}},
		{"location", "MESH_INTERNAL"},
		{"resolution", "STATIC"},
		{"ports", ports},
		{"endpoints", endpoints},
		{"exportTo", c.exportTo},
	})
	// The Service has the host's address; istiod would write another one to each chunk's status.
	d.labels = map[string]string{"networking.istio.io/enable-autoallocate-ip": "false"}
	return d.seal()
}

// meshProtocol is what Istio takes a Service's port to speak, in the words of a ServiceEntry: the two must agree, for they
// are one host. It reads appProtocol, else the port's name up to its first '-'. Empty has it look at the first bytes of
// each connection, for both.
func meshProtocol(p record.Port) string {
	name := p.AppProtocol
	switch {
	case name != "":
	case p.Name == "grpc-web", strings.HasPrefix(p.Name, "grpc-web-"):
		name = "grpc-web"
	default:
		name, _, _ = strings.Cut(p.Name, "-")
	}
	switch name {
	case "grpc", "grpc-web", "http", "http2", "https", "mongo", "mysql", "redis", "tcp", "tls":
		return strings.ToUpper(name)
	}
	switch p.Port {
	case 25, 53, 3306, 27017: // whose servers speak first
		return "TCP"
	default:
		return ""
	}
}
