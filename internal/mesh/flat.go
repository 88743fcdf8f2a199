package mesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// ChunkInput is one chunk of the addresses of an application that is called, in another cluster.
type ChunkInput struct {
	// Cluster is the one whose istiod is told.
	Cluster record.Cluster
	Service record.Service
	// Audience is zero where it is not known.
	Audience record.Audience
	Location record.Location
	// Place is the location's. Weightless: it has been stale for longer than the operator trusts what was last heard of it.
	Place      record.Place
	Weightless bool
}

// Chunk compiles a chunk of addresses in another cluster of the caller's network to a ServiceEntry with the host and the
// namespace of the Service, so that a pod's change rewrites one small object. That istiod merges its endpoints with the
// Service's is how it behaves, not a contract: nothing outside this file relies on it. The problems are the consumers':
// addresses that are no host's are left out, and told of.
//
// There is nothing where the network's pod ranges are not known: on both sides NetworkPolicies drop calls between its
// clusters, so endpoints there would take requests from those that answer. Nor is there anything where the pods have no proxy.
// Callee tells of both.
func Chunk(in ChunkInput) ([]Object, []record.Problem, error) {
	l := in.Location
	if !inMesh(in.Cluster) || in.Place.Network != in.Cluster.Network || !podsReached(in.Cluster) || in.Weightless || len(l.Endpoints) == 0 {
		return nil, nil, nil
	}
	c, err := newCallee(in.Cluster, in.Service, in.Audience)
	if err != nil {
		return nil, nil, err
	}
	if err := c.check(in.Place, l); err != nil {
		return nil, nil, c.failed(fmt.Errorf("location %s/%s/%s/%s: %w", l.Namespace, l.Application, l.Cluster, l.Chunk, err))
	}
	if len(c.ports) == 0 || !c.reached(in.Place) {
		return nil, nil, nil
	}
	addresses, wrong := addressesOf(l)
	var objects []Object
	if len(addresses) > 0 {
		objects = []Object{c.serviceEntry(l, c.endpoints(in.Place, addresses))}
	}
	if len(wrong) == 0 {
		return objects, nil, nil
	}
	return objects, []record.Problem{c.problem(ReasonAddressInvalid,
		"%s is not called at %s of cluster %s, as no host has such an address; look at its EndpointSlice %s there",
		record.ServiceName(l.Namespace, l.Application), few(wrong), l.Cluster, l.Chunk)}, nil
}

// podsReached tells whether NetworkPolicies let clusters of the cluster's network reach each other's pods.
func podsReached(cluster record.Cluster) bool { return len(cluster.PodRanges) > 0 }

func (c *callee) rangesUnknown(sites []Site) []record.Problem {
	var clusters []string
	for _, site := range sites {
		if site.Place.Network == c.network && site.Ready > 0 {
			clusters = append(clusters, site.Place.Cluster)
		}
	}
	if len(clusters) == 0 {
		return nil
	}
	return []record.Problem{c.problem(ReasonPodRangesUnknown,
		"network %s has no podRanges, so NetworkPolicies drop calls between its clusters, and %s is not called in %s; set spec.podRanges of the Network",
		c.network, record.ServiceName(c.service.Namespace, c.service.Application), fewClusters(clusters))}
}

func (c *callee) check(place record.Place, l record.Location) error {
	switch {
	case l.Cluster != place.Cluster:
		return fmt.Errorf("the place is of cluster %s", place.Cluster)
	case l.Chunk == "":
		return errors.New("it is no chunk")
	case len(l.Endpoints) > record.MaxEndpoints:
		return fmt.Errorf("endpoints: %d, more than %d", len(l.Endpoints), record.MaxEndpoints)
	}
	return checkSubject("location", l.Namespace, l.Application, c.service.Namespace, c.service.Application)
}

// addressesOf are a chunk's, sorted, and those that are no host's.
func addressesOf(l record.Location) (addresses []netip.Addr, wrong []string) {
	for _, e := range l.Endpoints {
		if ip, err := checkAddress("", e.Address); err == nil {
			addresses = append(addresses, ip)
		} else {
			wrong = append(wrong, strconv.Quote(e.Address))
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses), sortedSet(wrong)
}

// endpoints are alike but for their addresses, which come first in the order of fields.
func (c *callee) endpoints(place record.Place, addresses []netip.Addr) json.RawMessage {
	rest := encode(fields{{"labels", c.endpointLabels()}, {"locality", locality(place)}, {"network", place.Network},
		{"serviceAccount", c.serviceAccount()}})[1:]
	b := append(make([]byte, 0, len(addresses)*(len(rest)+40)), '[')
	for i, ip := range addresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(ip.AppendTo(append(b, `{"address":"`...)), `",`...)
		b = append(b, rest...)
	}
	return append(b, ']')
}

func (c *callee) serviceEntry(l record.Location, endpoints json.RawMessage) Object {
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
