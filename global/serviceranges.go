package global

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// serviceRanges are the prefixes of clusters' Services, as their agents found them, and what of pools and of pods has the same
// addresses. Nothing is decided by that: a Service's address means something in its own cluster alone, where it hides whoever
// else has it. The planner alone touches it.
type serviceRanges struct {
	reported map[string][]string // by cluster
	// stale: what the clashes hang on has changed.
	stale   bool
	clashes serviceClashes
}

// serviceClashes are what clusters' Services share with pools and networks: what is said of that at the cluster, and at the
// pool. A cluster or a pool of which there is nothing to say has an empty text, one that was not looked at has none.
type serviceClashes struct{ clusters, pools map[string]string }

// heard notes what clusters' agents tell of Services, and what was given that may be for these.
func (p *planner) heard(w work) {
	s := &p.ranges.services
	note := func(cluster string) {
		var now []string
		if p.exists(cluster) {
			now = p.reports.healthOf(cluster).ServiceRanges
		}
		if !slices.Equal(s.reported[cluster], now) {
			s.reported[cluster], s.stale = now, true
		}
		if len(now) == 0 {
			delete(s.reported, cluster)
		}
	}
	if w.inventory {
		s.stale = true
		for _, c := range p.hub.clusters.all() {
			note(c.Name)
		}
		for name := range s.reported {
			note(name)
		}
	}
	for name := range w.health {
		note(name)
	}
	for owner := range w.allotted {
		a, given := p.reports.granted(p.asks.claims[owner])
		s.stale = s.stale || strings.HasPrefix(owner, ownerIPClaim) && !(given && a.Prefix.IsSingleIP())
	}
}

// serviceClashes holds what clusters have for Services against the pools for them, and what their networks have for pods.
func (p *planner) serviceClashes() serviceClashes {
	var pools spans
	out := serviceClashes{map[string]string{}, map[string]string{}}
	for name, pool := range p.pools.force {
		out.pools[name] = ""
		for _, r := range pool.Ranges {
			pools.add(r.Prefix, name)
		}
	}
	ofPools := map[string][]string{}
	kept := p.keptForServices()
	for _, name := range slices.Sorted(maps.Keys(p.ranges.services.reported)) {
		c, ok := p.hub.clusters.get(name)
		if !ok {
			continue
		}
		var ofCluster []string
		for _, own := range outermost(p.ranges.services.reported[name]) {
			for o := range pools.overlapping(own) {
				if n := p.pools.force[o.owner].Network; n != "" && n != c.Spec.Network || kept(o.owner, narrower(own, o.prefix)) {
					continue
				}
				ofCluster = append(ofCluster, fmt.Sprintf("%s overlaps %s of IPPool %s", own, o.prefix, o.owner))
				ofPools[o.owner] = append(ofPools[o.owner], fmt.Sprintf("%s of cluster %s overlaps %s", own, name, o.prefix))
			}
			for _, pods := range p.declared(c.Spec.Network) {
				if pods.Overlaps(own) {
					ofCluster = append(ofCluster, fmt.Sprintf("%s overlaps %s of the pods on network %s", own, pods, c.Spec.Network))
				}
			}
		}
		out.clusters[name] = ""
		if len(ofCluster) > 0 {
			out.clusters[name] = fmt.Sprintf("Services of cluster %s have addresses that are others': %s; calls from this cluster may not get there; "+
				"choose other addresses, or keep those of a pool by its spec.reserved or by an IPClaim", name, listed(ofCluster))
		}
	}
	for name, texts := range ofPools {
		out.pools[name] = fmt.Sprintf("clusters have addresses of IPPool %s for their Services: %s; calls from there may not get to who is given them", name, listed(texts))
	}
	return out
}

// narrower is what two prefixes that overlap have in common.
func narrower(a, b netip.Prefix) netip.Prefix {
	if a.Bits() > b.Bits() {
		return a
	}
	return b
}

// declared are what a Network's spec says of its pods. What pools say is seen by the pools.
func (p *planner) declared(network string) []netip.Prefix {
	n, ok := p.hub.networks.get(network)
	if !ok {
		return nil
	}
	return outermost(n.Spec.PodRanges)
}

// keptForServices tells of prefixes of pools whether nobody can be given anything of them: they are reserved, or one IPClaim has
// them, which is how a plan of clusters' Services is kept in a pool.
func (p *planner) keptForServices() func(pool string, part netip.Prefix) bool {
	var claimed map[string][]netip.Prefix // by pool; made when first asked for
	within := func(part netip.Prefix) func(netip.Prefix) bool {
		return func(o netip.Prefix) bool { return o.Bits() <= part.Bits() && o.Overlaps(part) }
	}
	return func(pool string, part netip.Prefix) bool {
		if slices.ContainsFunc(p.pools.force[pool].Reserved, within(part)) {
			return true
		}
		if claimed == nil {
			claimed = p.claimedPrefixes()
		}
		return slices.ContainsFunc(claimed[pool], within(part))
	}
}

// claimedPrefixes are what IPClaims have that is more than one address, by pool.
func (p *planner) claimedPrefixes() map[string][]netip.Prefix {
	out := map[string][]netip.Prefix{}
	for owner, claim := range p.asks.claims {
		if !strings.HasPrefix(owner, ownerIPClaim) || claim.Length == longest(claim.IPv6) {
			continue
		}
		if a, ok := p.reports.granted(claim); ok && !a.Prefix.IsSingleIP() {
			out[a.Pool] = append(out[a.Pool], a.Prefix)
		}
	}
	return out
}

// publishServiceRanges has the statuses computed anew of clusters and pools of which something else is to be said. Of a pool it
// may be that it can be said for the first time, when a region has told all.
func (p *planner) publishServiceRanges(w work) {
	p.heard(w)
	s := &p.ranges.services
	before := s.clashes
	if s.stale {
		s.clashes, s.stale = p.serviceClashes(), false
		p.board.servicesClash(s.clashes)
	}
	for name := range differing(before.clusters, s.clashes.clusters) {
		p.board.touch(target{"clusters", "", name})
	}
	for name := range differing(before.pools, s.clashes.pools) {
		p.board.touch(target{"ippools", "", name})
	}
	if len(w.regions) > 0 {
		for name := range s.clashes.pools {
			p.board.touch(target{"ippools", "", name})
		}
	}
}

// differing are the keys of which two maps do not have the same.
func differing(before, now map[string]string) map[string]bool {
	out := map[string]bool{}
	for _, side := range []map[string]string{before, now} {
		for key := range side {
			was, had := before[key]
			is, has := now[key]
			if was != is || had != has {
				out[key] = true
			}
		}
	}
	return out
}
