package global

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// ranges are the prefixes of clusters' pods, as their agents found them and as IPAM gave them, and which clusters of one
// network have the same. The planner alone touches it.
type ranges struct {
	clusters map[string]podRanges
	networks map[string]*spans
	// clashes are the clusters with which each shares addresses, with one prefix of its own that does.
	clashes map[string]map[string]netip.Prefix
}

// podRanges are one cluster's.
type podRanges struct {
	network  string
	prefixes []netip.Prefix // sorted
}

func newRanges() *ranges {
	return &ranges{clusters: map[string]podRanges{}, networks: map[string]*spans{}, clashes: map[string]map[string]netip.Prefix{}}
}

// set notes what a cluster has now, and tells whether that changed whom it shares addresses with. It looks only at what
// overlaps what changed.
func (r *ranges) set(cluster string, now podRanges) bool {
	before := r.clusters[cluster]
	if before.network == now.network && slices.Equal(before.prefixes, now.prefixes) {
		return false
	}
	clashed := r.clashes[cluster]
	r.remove(cluster, before)
	if len(now.prefixes) == 0 {
		return len(clashed) > 0
	}
	r.clusters[cluster] = now
	s := r.networks[now.network]
	if s == nil {
		s = &spans{}
		r.networks[now.network] = s
	}
	for _, p := range now.prefixes {
		s.overlapping(p, func(o span) {
			if o.owner != cluster {
				r.clash(cluster, o.owner, p)
				r.clash(o.owner, cluster, o.prefix)
			}
		})
		s.add(p, cluster)
	}
	return !maps.Equal(clashed, r.clashes[cluster])
}

// remove forgets what a cluster had.
func (r *ranges) remove(cluster string, before podRanges) {
	for other := range r.clashes[cluster] {
		if delete(r.clashes[other], cluster); len(r.clashes[other]) == 0 {
			delete(r.clashes, other)
		}
	}
	delete(r.clashes, cluster)
	for _, p := range before.prefixes {
		r.networks[before.network].remove(p, cluster)
	}
	delete(r.clusters, cluster)
}

// clash notes the first prefix of a cluster that is another's, too.
func (r *ranges) clash(cluster, other string, p netip.Prefix) {
	if r.clashes[cluster] == nil {
		r.clashes[cluster] = map[string]netip.Prefix{}
	}
	if _, known := r.clashes[cluster][other]; !known {
		r.clashes[cluster][other] = p
	}
}

// overlaps are what follows from clashes: why clusters are set apart, by cluster, and what is wrong with networks.
type overlaps struct{ apart, networks map[string]string }

// judge sets apart each cluster that shares addresses with an older one that is not set apart itself. Nothing else can
// tell their pods from each other.
func (r *ranges) judge(created func(cluster string) time.Time) overlaps {
	out := overlaps{map[string]string{}, map[string]string{}}
	age := func(a, b string) int { return cmp.Or(created(a).Compare(created(b)), strings.Compare(a, b)) }
	for _, name := range slices.SortedFunc(maps.Keys(r.clashes), age) {
		for _, other := range slices.SortedFunc(maps.Keys(r.clashes[name]), age) {
			if age(other, name) > 0 || out.apart[other] != "" {
				continue
			}
			network := r.clusters[name].network
			both := fmt.Sprintf("pods of cluster %s have addresses of %s, and those of the older cluster %s addresses of %s",
				name, r.clashes[name][other], other, r.clashes[other][name])
			out.apart[name] = fmt.Sprintf("%s: on network %s calls between this cluster and others go by east-west gateways alone; "+
				"give one of the two other addresses, or a Network of its own", both, network)
			if out.networks[network] == "" {
				out.networks[network] = fmt.Sprintf("%s; %s is set apart and not reached directly", both, name)
			}
			break
		}
	}
	return out
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
	out := podRanges{network: network}
	for _, text := range p.reports.healthOf(cluster).PodRanges {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix == prefix.Masked() {
			out.prefixes = append(out.prefixes, prefix)
		}
	}
	if claim, asks := p.asks.claims[clusterOwner(cluster, askPodRange)]; asks {
		if a, ok := p.reports.granted(claim); ok {
			out.prefixes = append(out.prefixes, a.Prefix)
		}
	}
	slices.SortFunc(out.prefixes, netip.Prefix.Compare)
	out.prefixes = slices.Compact(out.prefixes)
	return out
}

// measure notes what clusters' pods have now, and has the inventory looked at where that sets other clusters apart.
func (p *planner) measure(w *work) {
	var changed bool
	note := func(cluster string) {
		spec, ok := p.hub.clusters.get(cluster)
		if !ok {
			changed = p.ranges.set(cluster, podRanges{}) || changed
			return
		}
		changed = p.ranges.set(cluster, p.podRanges(cluster, spec.Spec.Network)) || changed
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
	if changed || len(w.regions) > 0 && len(p.remembered) > 0 {
		w.inventory = true
	}
}

// overlapping judges the clusters' ranges. One that was set apart before this term stays so until all have told.
func (p *planner) overlapping() overlaps {
	out := p.ranges.judge(func(name string) time.Time {
		c, _ := p.hub.clusters.get(name)
		if c == nil {
			return time.Time{}
		}
		return c.CreationTimestamp.Time
	})
	for name, c := range p.remembered {
		if p.allTold(withoutMark(c.Network)) {
			delete(p.remembered, name)
		} else if out.apart[name] == "" {
			out.apart[name] = "pods of this cluster had addresses of another's of the network; it is not known yet whether they still do"
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
