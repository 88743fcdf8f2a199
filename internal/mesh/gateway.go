package mesh

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// entrance is one address of gateways of another network.
type entrance struct {
	network  string
	locality string
	pods     int64
}

// behindGateways writes one WorkloadEntry for each address of a gateway on another network: Envoy keeps only the first of
// two endpoints with one address and port, so what is ready behind an address is summed over clusters. The number of
// entries follows services and places, never pods.
//
// Every entry of one network has the locality of its first cluster by name, whether or not that has anything ready now:
// with several localities, an address that clusters of two of them share would be kept in one and its weight lost
// (istio/istio issue 56355), and a locality that followed the pods would have entries rewritten that did not change.
func (c *callee) behindGateways(sites []Site) ([]Object, []record.Problem, error) {
	localities := map[string]string{}
	entrances := map[netip.Addr]*entrance{}
	var unknown []string
	for _, site := range sites {
		network := site.Place.Network
		if network == c.network {
			continue
		}
		if _, ok := localities[network]; !ok {
			localities[network] = locality(site.Place)
		}
		pods := site.ready()
		if pods == 0 {
			continue
		}
		if len(site.Place.Gateways) == 0 {
			unknown = append(unknown, site.Place.Cluster)
			continue
		}
		if site.Weightless {
			continue
		}
		addresses, err := gatewaysOf(site.Place)
		if err != nil {
			return nil, nil, err
		}
		for i, address := range addresses {
			e := entrances[address]
			if e == nil {
				e = &entrance{network: network, locality: localities[network]}
				entrances[address] = e
			}
			if e.network != network {
				return nil, nil, fmt.Errorf("place %s: gateway %s is one of network %s too, not of %s alone",
					site.Place.Cluster, address, e.network, network)
			}
			e.pods += share(pods, i, len(addresses))
		}
	}
	var objects []Object
	for address, e := range entrances {
		objects = append(objects, c.workloadEntry(address, e))
	}
	sortObjects(objects)
	var problems []record.Problem
	if len(unknown) > 0 {
		problems = append(problems, c.problem(ReasonGatewayUnknown,
			"%s is ready in %s on another network, at whose gateway it would be called, but no address of that is known; set spec.mesh.gateway of the Cluster",
			record.ServiceName(c.service.Namespace, c.service.Application), few(unknown)))
	}
	return objects, problems, nil
}

// gatewaysOf are a place's addresses, sorted.
func gatewaysOf(p record.Place) ([]netip.Addr, error) {
	list := make([]netip.Addr, len(p.Gateways))
	for i, address := range p.Gateways {
		ip, err := checkAddress(fmt.Sprintf("place %s: gateways[%d]", p.Cluster, i), address)
		if err != nil {
			return nil, err
		}
		list[i] = ip
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list), nil
}

// share divides pods over n addresses: each has at least one, or a gateway would stand idle behind which calls are served.
func share(pods int64, i, n int) int64 {
	part := pods / int64(n)
	if int64(i) < pods%int64(n) {
		part++
	}
	return max(part, 1)
}

// workloadEntry stands for the pods behind an address. Its network hides it from the gateways of this one, which would
// send requests back and forth.
func (c *callee) workloadEntry(address netip.Addr, e *entrance) Object {
	ports := make(map[string]any, len(c.ports))
	for _, p := range c.ports {
		ports[p.Name] = portGateway
	}
	return c.draft(groupNetworking, "v1", "WorkloadEntry", c.nameFor(address.String()), map[string]any{
		"address":        address.String(),
		"labels":         c.endpointLabels(),
		"locality":       e.locality,
		"network":        e.network,
		"ports":          ports,
		"serviceAccount": c.serviceAccount(),
		"weight":         min(e.pods, math.MaxUint32),
	}).seal()
}

// nameFor names an object by the application and what it is of. No two applications of a namespace can meet in a name,
// since the hash has always the same length.
func (c *callee) nameFor(what string) string {
	const digits = 12
	return c.service.Application + "-" + record.VersionOf([]byte(what)).String()[:digits]
}
