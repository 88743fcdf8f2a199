package global

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
)

// asked is what became of what somebody asks for: it was refused, or it is a claim.
type asked struct {
	refused *refusal
	claim   record.Claim
}

// poolStanding is what was decided on an IPPool.
type poolStanding struct {
	refused *refusal
	pool    record.Pool
}

// addressing is what the board knows of address space; guarded by its mu.
type addressing struct {
	asks  map[string]asked        // by owner
	pools map[string]poolStanding // by IPPool
	usage func(pool string) poolUsage
	// services are immutable.
	services serviceClashes
}

// poolUsage is how Global's part of a pool stands, in addresses.
type poolUsage struct {
	addresses, taken, delegated float64
	// problems are what of it cannot be done somewhere, and why.
	problems []string
	// known: it was heard of.
	known bool
}

// asked notes what became of an owner's asking; nil if it no longer asks.
func (b *board) asked(owner string, now *asked) {
	b.mu.Lock()
	if now == nil {
		delete(b.addressing.asks, owner)
	} else {
		b.addressing.asks[owner] = *now
	}
	b.mu.Unlock()
	if key, ok := strings.CutPrefix(owner, ownerIPClaim); ok {
		b.touch(ipClaimTarget(key))
	}
}

// refusedAddress is why an owner's asking was refused, nil if it was not.
func (b *board) refusedAddress(owner string) *refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addressing.asks[owner].refused
}

func ipClaimTarget(key string) target {
	namespace, name, _ := strings.Cut(key, "/")
	return target{"ipclaims", namespace, name}
}

// ownerTarget is the resource whose status shows what an owner has; false for others' owners.
func ownerTarget(owner string) (target, bool) {
	if key, ok := strings.CutPrefix(owner, ownerIPClaim); ok {
		return ipClaimTarget(key), true
	}
	if name, ok := strings.CutPrefix(owner, ownerApplication); ok {
		return applicationTarget(name), true
	}
	cluster, _, ok := clusterAsk(owner)
	return target{"clusters", "", cluster}, ok
}

// outcome is what an owner has, of which pool, and the condition that says so or why it has nothing. What it was given for something
// else that it asked for before does not count. What it had stays while where it is to be taken says nothing, or does not know what
// it gave: that place may be away, and the owner may use it.
func (b *board) outcome(owner string, had netip.Prefix, pool string) (netip.Prefix, string, metav1.Condition) {
	const kind = v1alpha1.ConditionAllocated
	b.mu.Lock()
	a, asks := b.addressing.asks[owner]
	b.mu.Unlock()
	got, told := b.reports.allotment(a.claim.Record().Key)
	if told && got.Prefix.IsValid() && !ipam.Meets(a.claim, got.Pool, got.Prefix) {
		got.Prefix, had, told = netip.Prefix{}, netip.Prefix{}, got.Reason != ""
	}
	if asks && had.IsValid() && !ipam.Meets(a.claim, cmp.Or(pool, a.claim.Pool), had) {
		had = netip.Prefix{}
	}
	switch {
	case told && got.Prefix.IsValid() && got.Reason == "":
		return got.Prefix, got.Pool, condition(kind, true, v1alpha1.ReasonAllocated, "")
	case a.refused != nil:
		return netip.Prefix{}, "", condition(kind, false, a.refused.reason, a.refused.message)
	case asks && told && got.Reason == ipam.ReasonStoreSetBack:
		if got.Prefix.IsValid() {
			had, pool = got.Prefix, got.Pool
		}
		return had, pool, condition(kind, false, got.Reason, got.Message)
	case asks && told:
		return netip.Prefix{}, "", condition(kind, false, got.Reason, got.Message)
	case had.IsValid():
		return had, pool, condition(kind, true, v1alpha1.ReasonAllocated, "")
	default:
		where := "Global"
		if region, zone := a.claim.Record().Key.Place(); zone != "" {
			where = fmt.Sprintf("zone %s of region %s", zone, region)
		}
		return netip.Prefix{}, "", condition(kind, false, v1alpha1.ReasonPending, where+" has not told yet what it gives")
	}
}

// ipClaim computes the status of an IPClaim.
func (b *board) ipClaim(t target) (types.UID, any, any) {
	c, ok := b.hub.ipclaims.get(t.key())
	owner := ownerIPClaim + t.key()
	b.mu.Lock()
	_, known := b.addressing.asks[owner]
	b.mu.Unlock()
	if !ok || !known {
		return "", nil, nil
	}
	after := v1alpha1.IPClaimStatus{ObservedGeneration: c.Generation, Conditions: slices.Clone(c.Status.Conditions)}
	had, _ := netip.ParsePrefix(c.Status.Prefix)
	prefix, pool, said := b.outcome(owner, had, c.Status.Pool)
	if prefix.IsValid() {
		after.Prefix, after.Pool = prefix.String(), pool
		if prefix.IsSingleIP() {
			after.Address = prefix.Addr().String()
		}
	}
	set(&after.Conditions, c.Generation, said)
	return c.UID, c.Status, after
}

// addressOf is what an application that asks for an address has; nil for one that does not.
func (b *board) addressOf(app *v1alpha1.Application) *address {
	if app.Spec.Address == nil {
		return nil
	}
	var had netip.Prefix
	if addr, err := netip.ParseAddr(app.Status.Address); err == nil {
		had = netip.PrefixFrom(addr, addr.BitLen())
	}
	prefix, _, said := b.outcome(ownerApplication+app.Namespace+"/"+app.Name, had, "")
	out := &address{said: said}
	if prefix.IsValid() {
		out.text = prefix.Addr().String()
	}
	return out
}

// address is what an application has that asks for one.
type address struct {
	text string // empty for none
	said metav1.Condition
}

// write puts it into a status; without one nothing is said of addresses.
func (a *address) write(s *v1alpha1.ApplicationStatus, generation int64) {
	if a == nil {
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionAllocated)
		return
	}
	s.Address = a.text
	set(&s.Conditions, generation, a.said)
}

// clusterAddresses are what a cluster has of what it asks for, in the order of the spec.
func (b *board) clusterAddresses(c *v1alpha1.Cluster) []v1alpha1.ClusterAddress {
	wants := c.Spec.Addresses
	if wants == nil {
		return nil
	}
	var out []v1alpha1.ClusterAddress
	one := func(name, ask string, asks bool) {
		if !asks {
			return
		}
		var before v1alpha1.ClusterAddress
		if i := slices.IndexFunc(c.Status.Addresses, func(a v1alpha1.ClusterAddress) bool { return a.Name == name }); i >= 0 {
			before = c.Status.Addresses[i]
		}
		had, _ := netip.ParsePrefix(before.Prefix)
		prefix, pool, said := b.outcome(clusterOwner(c.Name, ask), had, before.Pool)
		now := v1alpha1.ClusterAddress{Name: name, Pool: pool}
		if prefix.IsValid() {
			now.Prefix = prefix.String()
		} else {
			now.Reason, now.Message = said.Reason, said.Message
		}
		out = append(out, now)
	}
	one("podRange", askPodRange, wants.PodRange != nil)
	one(statusEastWest, askEastWest, wants.EastWest != nil)
	one("ingress", askIngress, wants.Ingress != nil)
	return out
}

// pooled notes what was decided on pools.
func (b *board) pooled(standings map[string]poolStanding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addressing.pools = standings
}

// ipPool computes the status of an IPPool.
func (b *board) ipPool(t target) (types.UID, any, any) {
	spec, ok := b.hub.pools.get(t.name)
	b.mu.Lock()
	s, known := b.addressing.pools[t.name]
	b.mu.Unlock()
	if !ok || !known {
		return "", nil, nil
	}
	after := spec.Status
	after.Conditions, after.ObservedGeneration = slices.Clone(after.Conditions), spec.Generation
	accepted := condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted, "")
	if s.refused != nil {
		accepted = condition(v1alpha1.ConditionAccepted, false, s.refused.reason, s.refused.message)
	}
	set(&after.Conditions, spec.Generation, accepted)
	if use := b.addressing.usage(t.name); use.known && s.pool.Name != "" {
		taken := use.taken - use.delegated + b.reports.taken(t.name)
		after.Addresses, after.Taken, after.Delegated = countText(use.addresses), countText(taken), countText(use.delegated)
		after.Percent = 0
		if use.addresses > 0 {
			after.Percent = int32(math.Ceil(100 * use.taken / use.addresses))
		}
		set(&after.Conditions, spec.Generation, sufficient(use, s.pool.LowWater))
		if len(use.problems) > 0 {
			set(&after.Conditions, spec.Generation, condition(v1alpha1.ConditionInForce, false, v1alpha1.ReasonRejected, strings.Join(use.problems, "; ")))
		} else if b.allTold() {
			set(&after.Conditions, spec.Generation, condition(v1alpha1.ConditionInForce, true, v1alpha1.ReasonAccepted, ""))
		}
	}
	if clash, looked := b.serviceClashes().pools[t.name]; clash != "" || looked && b.allTold() {
		set(&after.Conditions, spec.Generation, disjoint(v1alpha1.ConditionServiceRangesDisjoint, clash))
	}
	return spec.UID, spec.Status, after
}

// sufficient says whether enough of a pool is free.
func sufficient(use poolUsage, lowWater int) metav1.Condition {
	free := use.addresses - use.taken
	if free > 0 && 100*free >= float64(lowWater)*use.addresses {
		return condition(v1alpha1.ConditionSufficient, true, v1alpha1.ReasonSufficient, "")
	}
	return condition(v1alpha1.ConditionSufficient, false, v1alpha1.ReasonLow, fmt.Sprintf(
		"%s of %s addresses are neither given nor delegated, and spec.lowWaterPercent is %d; add a range", countText(free), countText(use.addresses), lowWater))
}

// countText is a number of addresses as people read it: exactly, where that is known.
func countText(n float64) string {
	if n < 1<<53 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.4g", n)
}

// network computes the status of a Network.
func (b *board) network(t target) (types.UID, any, any) {
	n, ok := b.hub.networks.get(t.name)
	inv := b.snapshot()
	if !ok || inv == nil {
		return "", nil, nil
	}
	after := n.Status
	after.Conditions, after.ObservedGeneration = slices.Clone(after.Conditions), n.Generation
	said := condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted, "")
	if why := inv.overlaps.networks[t.name]; why != "" {
		said = condition(v1alpha1.ConditionAccepted, false, v1alpha1.ReasonRangesOverlap, why)
	}
	set(&after.Conditions, n.Generation, said)
	return n.UID, n.Status, after
}

// disjoint says whether addresses are one's own, by a condition of that type; overlap says why they are not.
func disjoint(kind, overlap string) metav1.Condition {
	if overlap != "" {
		return condition(kind, false, v1alpha1.ReasonRangesOverlap, overlap)
	}
	return condition(kind, true, v1alpha1.ReasonDisjoint, "")
}

// servicesClash notes what clusters' Services share with pools and pods.
func (b *board) servicesClash(now serviceClashes) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addressing.services = now
}

func (b *board) serviceClashes() serviceClashes {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addressing.services
}

// allTold tells whether the regions of the inventory have told all.
func (b *board) allTold() bool {
	inv := b.snapshot()
	if inv == nil {
		return false
	}
	for region := range inv.regions {
		if !b.reports.session(region).told {
			return false
		}
	}
	return true
}
