package global

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// inventory is what Global knows of the world: an immutable snapshot that is rebuilt when a resource of it changes.
type inventory struct {
	environments map[string]string            // trust domains by name
	taken        map[string]string            // by environment, the older one that has its trust domain
	networks     map[string][]string          // ranges of the pods by name
	regions      map[string]map[string]string // labels by name
	zones        map[string]zone
	clusters     map[string]record.Cluster // accepted ones
	// roots are the clusters' mesh root namespaces, each with a cluster that has it.
	roots map[string]string
	// refused says why a Zone or Cluster is not accepted, by resource name.
	refusedZones, refusedClusters map[string]string
	// overlaps are clusters and networks whose pods' addresses are not their own.
	overlaps overlaps
}

// zone is one accepted zone, with its accepted clusters sorted by name.
type zone struct {
	region   string
	labels   map[string]string
	clusters []record.Cluster
}

// resources is the inventory as the hub's API server has it.
type resources struct {
	environments []*v1alpha1.Environment
	networks     []*v1alpha1.Network
	regions      []*v1alpha1.Region
	zones        []*v1alpha1.Zone
	clusters     []*v1alpha1.Cluster
	// podRanges are what IPAM has for pods, by network; gateways the addresses that it gave to east-west gateways which
	// list none, by cluster.
	podRanges map[string][]string
	gateways  map[string]string
	overlaps  overlaps
}

// newInventory checks the references between the resources and leaves out what does not resolve. A cluster that was
// accepted before, and now does not resolve or is missing, stands as it was: standing holds the records of those.
func newInventory(r resources, standing map[string]record.Cluster) *inventory {
	inv := &inventory{environments: trustDomains(r.environments), taken: domainsTaken(r.environments), networks: map[string][]string{},
		regions: map[string]map[string]string{}, zones: map[string]zone{}, clusters: map[string]record.Cluster{},
		roots: map[string]string{}, refusedZones: map[string]string{}, refusedClusters: map[string]string{}, overlaps: r.overlaps}
	for _, n := range r.networks {
		inv.networks[n.Name] = slices.Sorted(slices.Values(n.Spec.PodRanges))
		if len(n.Spec.PodRanges) == 0 {
			inv.networks[n.Name] = r.podRanges[n.Name]
		}
	}
	for _, region := range r.regions {
		inv.regions[region.Name] = region.Labels
	}
	for _, z := range r.zones {
		if _, ok := inv.regions[z.Spec.Region]; !ok {
			inv.refusedZones[z.Name] = fmt.Sprintf("spec.region: there is no Region %s", z.Spec.Region)
			continue
		}
		inv.zones[z.Name] = zone{region: z.Spec.Region, labels: z.Labels}
	}
	for _, c := range r.clusters {
		if why := inv.refuse(c); why != "" {
			inv.refusedClusters[c.Name] = why
			continue
		}
		inv.clusters[c.Name] = clusterRecord(c, inv.zones[c.Spec.Zone].region, inv.networks[c.Spec.Network], r.gateways[c.Name])
	}
	for name, c := range standing {
		if _, accepted := inv.clusters[name]; !accepted {
			if len(c.PodRanges) == 0 { // as those of one that was set apart
				c.PodRanges = inv.networks[c.Network]
			}
			inv.clusters[name] = c
		}
	}
	inv.checkPrimaries(standing)
	inv.setApart(r.overlaps.apart)
	for _, name := range slices.Sorted(maps.Keys(inv.clusters)) {
		c := inv.clusters[name]
		inv.roots[c.Mesh.RootNamespace] = name
		z, ok := inv.zones[c.Zone]
		if !ok {
			z.region = c.Region
		}
		z.clusters = append(z.clusters, c)
		inv.zones[c.Zone] = z
	}
	return inv
}

// networksOf lists the networks of a zone's clusters, some perhaps several times.
func (inv *inventory) networksOf(zone string) []string {
	var out []string
	for _, c := range inv.zones[zone].clusters {
		out = append(out, c.Network)
	}
	return out
}

// maxLabels bounds a cluster's labels in bytes: they travel in one record.
const maxLabels = 64 << 10

// refuse says why a Cluster cannot be accepted, or "".
func (inv *inventory) refuse(c *v1alpha1.Cluster) string {
	if _, ok := inv.zones[c.Spec.Zone]; !ok {
		return fmt.Sprintf("spec.zone: there is no accepted Zone %s", c.Spec.Zone)
	}
	if _, ok := inv.networks[c.Spec.Network]; !ok {
		return fmt.Sprintf("spec.network: there is no Network %s", c.Spec.Network)
	}
	size := 0
	for name, value := range c.Labels {
		size += len(name) + len(value)
	}
	if size > maxLabels {
		return fmt.Sprintf("metadata.labels: %d KiB, at most %d KiB can travel", size>>10, maxLabels>>10)
	}
	for i, e := range c.Spec.Environments {
		if _, ok := inv.environments[e]; !ok {
			return fmt.Sprintf("spec.environments[%d]: there is no Environment %s", i, e)
		}
	}
	return ""
}

// clusterRecord turns the resource into the record that travels, defaults filled in. gateway is the address that IPAM gave
// to its east-west gateway, if it did.
func clusterRecord(c *v1alpha1.Cluster, region string, podRanges []string, gateway string) record.Cluster {
	out := record.Cluster{Name: c.Name, Region: region, Zone: c.Spec.Zone, Network: c.Spec.Network, PodRanges: podRanges,
		Environments: slices.Sorted(slices.Values(c.Spec.Environments)), Labels: c.Labels,
		Mesh: record.Mesh{Dataplane: string(c.Spec.Mesh.Dataplane), RootNamespace: c.Spec.Mesh.RootNamespace,
			PlatformHosts:  slices.Sorted(slices.Values(c.Spec.Mesh.PlatformHosts)),
			DefaultSidecar: c.Spec.Mesh.DefaultSidecar == nil || *c.Spec.Mesh.DefaultSidecar}}
	if out.Mesh.Dataplane == "" {
		out.Mesh.Dataplane = string(v1alpha1.DataplaneSidecar)
	}
	if out.Mesh.RootNamespace == "" {
		out.Mesh.RootNamespace = "istio-system"
	}
	if c.Spec.Mesh.Primary != c.Name {
		out.Mesh.Primary = c.Spec.Mesh.Primary
	}
	if g := c.Spec.Mesh.Gateway; g != nil {
		out.Mesh.Gateway = gatewayRecord(g)
		if len(g.Addresses) == 0 && gateway != "" {
			out.Mesh.Gateway.Addresses = []string{gateway}
		}
	}
	for _, t := range c.Spec.Taints {
		out.Taints = append(out.Taints, record.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	return out
}
