package global

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// ranges are the prefixes of clusters' pods, as their agents found them and as IPAM gave them. The planner alone touches it.
type ranges struct {
	clusters map[string]podRanges
	// networks are what the clusters of each have, given what of that IPAM gave.
	networks, given map[string]*spans
	services        serviceRanges
}

// podRanges are one cluster's.
type podRanges struct {
	network string
	// reported are what its agent found, sorted, none within another; given is what IPAM gave, invalid if it gave nothing.
	reported []netip.Prefix
	given    netip.Prefix
}

// all are both.
func (c podRanges) all() []netip.Prefix {
	if !c.given.IsValid() || slices.Contains(c.reported, c.given) {
		return c.reported
	}
	return append(slices.Clip(c.reported), c.given)
}

func newRanges() *ranges {
	return &ranges{clusters: map[string]podRanges{}, networks: map[string]*spans{}, given: map[string]*spans{},
		services: serviceRanges{reported: map[string][]string{}}}
}

// set notes what a cluster has now. It tells whether that can change who is set apart: the cluster shared addresses with
// others, or does now.
func (r *ranges) set(cluster string, now podRanges) bool {
	before := r.clusters[cluster]
	if before.network == now.network && before.given == now.given && slices.Equal(before.reported, now.reported) {
		return false
	}
	shared := r.meets(cluster)
	for _, p := range before.all() {
		r.networks[before.network].remove(p, cluster)
	}
	if before.given.IsValid() {
		r.given[before.network].remove(before.given, cluster)
	}
	delete(r.clusters, cluster)
	if len(now.all()) == 0 {
		return shared
	}
	r.clusters[cluster] = now
	if r.networks[now.network] == nil {
		r.networks[now.network], r.given[now.network] = &spans{}, &spans{}
	}
	for _, p := range now.all() {
		r.networks[now.network].add(p, cluster)
	}
	if now.given.IsValid() {
		r.given[now.network].add(now.given, cluster)
	}
	return shared || r.meets(cluster)
}

// meets tells whether a cluster has addresses of another one.
func (r *ranges) meets(cluster string) bool {
	_, _, found := r.shared(cluster, func(string) bool { return true })
	return found
}

// shared is the first prefix of a cluster that overlaps one of others of a kind, and that one.
func (r *ranges) shared(cluster string, kind func(other string) bool) (mine netip.Prefix, theirs span, found bool) {
	c := r.clusters[cluster]
	for _, p := range c.all() {
		for o := range r.networks[c.network].overlapping(p) {
			if o.owner != cluster && kind(o.owner) {
				return p, o, true
			}
		}
	}
	return netip.Prefix{}, span{}, false
}

// apartMark stands between the network of a cluster that is set apart and the name of its istiod's cluster: no Network's
// name has one. To the zones it is a network of that istiod's clusters alone.
const apartMark = "."

// withoutMark is the network of a cluster that may be set apart.
func withoutMark(network string) string {
	name, _, _ := strings.Cut(network, apartMark)
	return name
}

// setApart has the clusters that share an istiod with one of these be on a network of their own.
func (inv *inventory) setApart(apart map[string]string) {
	groups := map[string]bool{}
	for name := range apart {
		if c, ok := inv.clusters[name]; ok {
			groups[cmp.Or(c.Mesh.Primary, name)] = true
		}
	}
	if len(groups) == 0 {
		return
	}
	for name, c := range inv.clusters {
		if group := cmp.Or(c.Mesh.Primary, name); groups[group] {
			c.Network, c.PodRanges = c.Network+apartMark+group, nil
			inv.clusters[name] = c
		}
	}
}

// podRanges are a cluster's: what its agent found, and what it has from IPAM.
func (p *planner) podRanges(cluster, network string) podRanges {
	out := podRanges{network: network, reported: outermost(p.reports.healthOf(cluster).PodRanges)}
	if claim, asks := p.asks.claims[clusterOwner(cluster, askPodRange)]; asks {
		if a, ok := p.reports.granted(claim); ok {
			out.given = a.Prefix
		}
	}
	return out
}

// outermost reads prefixes, and leaves out what is none, or lies in another.
func outermost(texts []string) []netip.Prefix {
	var all, out []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil && p == p.Masked() {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	for _, p := range all {
		if n := len(out); n == 0 || !out[n-1].Overlaps(p) { // what comes first of two is the wider
			out = append(out, p)
		}
	}
	return out
}

// measure notes what clusters' pods have now, and has the inventory looked at where that sets others apart than before.
func (p *planner) measure(w *work) {
	var shared bool
	note := func(cluster string) {
		var now podRanges
		if spec, ok := p.hub.clusters.get(cluster); ok {
			now = p.podRanges(cluster, spec.Spec.Network)
		}
		shared = p.ranges.set(cluster, now) || shared
	}
	if w.inventory {
		for _, c := range p.hub.clusters.all() {
			note(c.Name)
		}
		for name := range p.ranges.clusters {
			if !p.exists(name) {
				note(name)
			}
		}
	}
	for name := range w.health {
		note(name)
	}
	for owner := range w.allotted {
		if name, ask, ok := clusterAsk(owner); ok && ask == askPodRange {
			note(name)
		}
	}
	if len(w.regions) > 0 && len(p.remembered) > 0 {
		w.inventory = true
	}
	if !w.inventory && shared {
		now, before := p.overlapping(), p.inventory.overlaps
		w.inventory = !maps.Equal(now.apart, before.apart) || !maps.Equal(now.networks, before.networks)
	}
}

// overlapping judges the clusters' ranges. One that was set apart before this term stays so until all have told.
func (p *planner) overlapping() overlaps {
	for name, c := range p.remembered {
		if p.allTold(withoutMark(c.Network)) {
			delete(p.remembered, name)
		}
	}
	out := p.ranges.judge(grounds{
		created: func(name string) time.Time {
			c, _ := p.hub.clusters.get(name)
			if c == nil {
				return time.Time{}
			}
			return c.CreationTimestamp.Time
		},
		pods: p.podSpace(),
		apart: func(name string) bool {
			_, was := p.remembered[name]
			return was
		}})
	for name := range p.remembered {
		if out.apart[name] == "" {
			out.apart[name] = "pods of this cluster had addresses of another's of the network; it is not known yet whether they still do"
		}
	}
	return out
}

// podSpace are the ranges that hold the pods of networks: by their specs, and else by the pools of their own.
func (p *planner) podSpace() map[string][]netip.Prefix {
	texts := p.pools.ofNetworks()
	for _, n := range p.hub.networks.all() {
		if len(n.Spec.PodRanges) > 0 {
			texts[n.Name] = n.Spec.PodRanges
		}
	}
	out := map[string][]netip.Prefix{}
	for network, ranges := range texts {
		for _, text := range ranges {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				out[network] = append(out[network], prefix.Masked())
			}
		}
	}
	return out
}

// allTold tells whether the regions of all clusters of a network have told all.
func (p *planner) allTold(network string) bool {
	for _, c := range p.hub.clusters.all() {
		if z, ok := p.hub.zones.get(c.Spec.Zone); ok && c.Spec.Network == network && !p.reports.session(z.Spec.Region).told {
			return false
		}
	}
	return true
}

// rememberApart notes which clusters were set apart in an earlier term.
func (p *planner) rememberApart() {
	for e := range p.mirror.Snapshot().All(record.KindCluster) {
		if c, err := record.DecodeCluster(e.Record); err == nil && strings.Contains(c.Network, apartMark) {
			p.remembered[c.Name] = c
		}
	}
}
