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
func (c *callee) behindGateways(sites []Site) ([]Object, []record.Problem) {
	localities := map[string]string{}
	entrances := map[netip.Addr]*entrance{}
	var unknown, wrong []string
	for _, site := range sites {
		network := site.Place.Network
		if network == c.network {
			continue
		}
		if _, ok := localities[network]; !ok {
			localities[network] = locality(site.Place)
		}
		pods := int64(site.Ready)
		if pods <= 0 {
			continue
		}
		if len(site.Place.Gateways) == 0 {
			unknown = append(unknown, site.Place.Cluster)
			continue
		}
		addresses, bad := gatewaysOf(site.Place)
		wrong = append(wrong, bad...)
		if site.Weightless {
			continue
		}
		addresses, bad = unclaimed(site.Place, addresses, entrances)
		wrong = append(wrong, bad...)
		for i, address := range addresses {
			e := entrances[address]
			if e == nil {
				e = &entrance{network: network, locality: localities[network]}
				entrances[address] = e
			}
			e.pods += share(pods, i, len(addresses))
		}
	}
	var objects []Object
	for address, e := range entrances {
		objects = append(objects, c.workloadEntry(address, e))
	}
	sortObjects(objects)
	return objects, c.gatewayProblems(unknown, wrong)
}

// gatewayProblems tell of clusters without a gateway's address, and of addresses that cannot be a gateway's.
func (c *callee) gatewayProblems(unknown, wrong []string) []record.Problem {
	var problems []record.Problem
	name := record.ServiceName(c.service.Namespace, c.service.Application)
	if len(unknown) > 0 {
		problems = append(problems, c.problem(ReasonGatewayUnknown,
			"%s is ready in %s on another network, at whose gateway it would be called, but no address of that is known; set spec.mesh.gateway of the Cluster",
			name, fewClusters(unknown)))
	}
	if len(wrong) > 0 {
		problems = append(problems, c.problem(ReasonGatewayUnknown,
			"%s is ready on another network and is not called at %s; correct spec.mesh.gateway of the Cluster", name, few(wrong)))
	}
	return problems
}

// gatewaysOf are the addresses of a place's gateways, sorted, and what is wrong with those that are no host's. Such an
// address is as good as unknown: what one cluster says of itself must not keep anyone from being called elsewhere.
func gatewaysOf(p record.Place) (addresses []netip.Addr, wrong []string) {
	for _, address := range p.Gateways {
		ip, err := checkAddress("gateway of cluster "+p.Cluster, address)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("gateway %q of cluster %s, which is not the IP address of a host", address, p.Cluster))
			continue
		}
		addresses = append(addresses, ip)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return slices.Compact(addresses), sortedSet(wrong)
}

// unclaimed leaves out of a place's addresses those that are a gateway's of a third network already: an endpoint is on one
// network only. The first place by name has such an address.
func unclaimed(p record.Place, addresses []netip.Addr, entrances map[netip.Addr]*entrance) (own []netip.Addr, wrong []string) {
	for _, address := range addresses {
		if e := entrances[address]; e != nil && e.network != p.Network {
			wrong = append(wrong, fmt.Sprintf("gateway %s of cluster %s, which is one of network %s too, not of %s alone",
				address, p.Cluster, e.network, p.Network))
			continue
		}
		own = append(own, address)
	}
	return own, wrong
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
	ports := make(fields, len(c.ports))
	for i, p := range c.ports {
		ports[i] = field{p.Name, portGateway}
	}
	return c.draft(groupNetworking, "v1", "WorkloadEntry", c.nameFor(address.String()), fields{
		{"address", address.String()},
		{"labels", c.endpointLabels()},
		{"locality", e.locality},
		{"network", e.network},
		{"ports", ports},
		{"serviceAccount", c.serviceAccount()},
		{"weight", min(e.pods, math.MaxUint32)},
	}).seal()
}

// nameFor names an object by the application and what it is of. No two applications of a namespace can meet in a name,
// since the hash has always the same length.
func (c *callee) nameFor(what string) string { return c.service.Application + "-" + hashOf(what) }

// hashOf is a part of a name that stands for what cannot be in one, always as long.
func hashOf(what string) string {
	const digits = 12
	return record.VersionOf([]byte(what)).String()[:digits]
}
