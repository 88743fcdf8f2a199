package global

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// overlaps are what follows from clusters having the same addresses: why clusters are set apart, by cluster, and what is wrong
// with networks.
type overlaps struct{ apart, networks map[string]string }

// credit is how far a cluster's word on its pods is borne out by what others than its agent say. No agent's word changes
// another cluster's.
type credit int

const (
	// sound: what its agent found lies in what IPAM gave it, or where that is nothing, in what its network has for pods.
	sound credit = iota
	// outside: some of it does not.
	outside
	// intruding: some of it is what IPAM gave to another cluster.
	intruding
)

// A prefix shorter than these is not one cluster's: all that IPv4 has for private use in one piece has length 8 (RFC 1918), and
// a provider gets a length of 32 of IPv6 for all that it does.
const (
	widestIPv4 = 8
	widestIPv6 = 32
)

// rival is a cluster that has addresses of another one of its network.
type rival struct {
	name    string
	credit  credit
	why     string // what its credit follows from; empty if it is sound
	created time.Time
}

// compare puts those first to whom addresses are left.
func (c rival) compare(o rival) int {
	return cmp.Or(cmp.Compare(c.credit, o.credit), c.created.Compare(o.created), strings.Compare(c.name, o.name))
}

// grounds are what clusters' ranges are judged by beside themselves.
type grounds struct {
	created func(cluster string) time.Time
	// pods are the ranges that hold the pods of a network, by network; none where nobody says.
	pods map[string][]netip.Prefix
	// apart tells of a cluster that is set apart whatever it shares: it keeps no other from its addresses.
	apart func(cluster string) bool
}

// judge sets clusters apart until no two that are not share addresses: nothing else can tell their pods from each other. Of two
// the one with the worse credit goes, of equals the younger.
func (r *ranges) judge(g grounds) overlaps {
	out := overlaps{map[string]string{}, map[string]string{}}
	var rivals []rival
	for name := range r.clusters {
		if r.meets(name) {
			rivals = append(rivals, r.rival(name, g))
		}
	}
	slices.SortFunc(rivals, rival.compare)
	kept := map[string]rival{}
	for _, c := range rivals {
		mine, theirs, found := r.shared(c.name, func(other string) bool {
			_, is := kept[other]
			return is
		})
		if !found {
			if !g.apart(c.name) {
				kept[c.name] = c
			}
			continue
		}
		network := r.clusters[c.name].network
		both := c.against(kept[theirs.owner], mine, theirs.prefix)
		out.apart[c.name] = fmt.Sprintf("%s: on network %s calls between this cluster and others go by east-west gateways alone; "+
			"give one of the two other addresses, or a Network of its own", both, network)
		if out.networks[network] == "" {
			out.networks[network] = fmt.Sprintf("%s; %s is set apart and not reached directly", both, c.name)
		}
	}
	return out
}

// against says what a cluster shares with one that comes before it, and why that one does.
func (c rival) against(first rival, mine, theirs netip.Prefix) string {
	older, why := "", "; "+c.why
	if c.credit == first.credit {
		older, why = "the older ", ""
	}
	return fmt.Sprintf("pods of cluster %s have addresses of %s, and those of %scluster %s addresses of %s%s", c.name, mine, older, first.name, theirs, why)
}

// rival finds out what a cluster's word is worth.
func (r *ranges) rival(name string, g grounds) rival {
	out := rival{name: name, created: g.created(name)}
	c := r.clusters[name]
	for _, p := range c.reported {
		for o := range r.given[c.network].overlapping(p) {
			if o.owner != name {
				out.credit, out.why = intruding, fmt.Sprintf("%s has addresses of %s, which IPAM gave to cluster %s and not to %s", p, o.prefix, o.owner, name)
				return out
			}
		}
		if why := c.astray(p, g.pods[c.network]); why != "" && out.credit == sound {
			out.credit, out.why = outside, why
		}
	}
	return out
}

// astray says why a prefix that a cluster reported is not one for its pods, or "". What is not said of a family is no reason.
func (c podRanges) astray(p netip.Prefix, pods []netip.Prefix) string {
	within := func(wider netip.Prefix) bool { return wider.Bits() <= p.Bits() && wider.Overlaps(p) }
	family := func(o netip.Prefix) bool { return o.IsValid() && o.Addr().Is4() == p.Addr().Is4() }
	widest := widestIPv6
	if p.Addr().Is4() {
		widest = widestIPv4
	}
	switch {
	case family(c.given) && !within(c.given):
		return fmt.Sprintf("%s is not within %s, which IPAM gave to it", p, c.given)
	case family(c.given):
		return ""
	case slices.ContainsFunc(pods, family) && !slices.ContainsFunc(pods, within):
		return fmt.Sprintf("%s is within none of the ranges that network %s has for pods", p, c.network)
	case p.Bits() < widest:
		return fmt.Sprintf("%s is more than a cluster has for pods, /%d at most", p, widest)
	}
	return ""
}
