package ipam

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// claim is a claim that is met here.
type claim struct {
	record.Claim
	// entry is what the owner holds; without an owner nothing.
	entry ledger.Entry
	// reason and message say why it holds nothing.
	reason, message string
	// pools are those that had no room, in whose waiting it is.
	pools []*pool
	// told is the version of the allotment that was told.
	told record.Version
}

// claim takes in a claim's record.
func (t *Tier) claim(v record.Claim) {
	delete(t.todo.releases, v.Owner)
	c := t.claims[v.Owner]
	if c == nil {
		c = &claim{}
		t.claims[v.Owner] = c
	}
	c.Claim = v
	t.todo.claims.add(v.Owner)
}

// drop takes in that a claim's record is gone.
func (t *Tier) drop(owner string) {
	c := t.claims[owner]
	if c == nil {
		return
	}
	t.unwait(c)
	delete(t.claims, owner)
	delete(t.unmet, owner)
	delete(t.todo.claims, owner)
	t.todo.releases.add(owner)
	t.cfg.Untell(record.AllotmentKey(t.cfg.Region, t.cfg.Zone, owner), record.CausePerson)
}

// holds tells whether the owner holds what the claim asks for.
func (c *claim) holds() bool {
	e := c.entry
	return e.Owner != "" && Meets(c.Claim, e.Pool, e.Prefix) && (c.Pool != "" || e.Note == c.note())
}

// Meets tells whether a prefix of a pool is what a claim asks for, as far as its prefix, length, pool and family say; the pool's
// purpose and network, which a claim may ask for instead of its name, cannot change.
func Meets(c record.Claim, pool string, prefix netip.Prefix) bool {
	switch {
	case c.Prefix.IsValid() && c.Prefix != prefix, c.Length > 0 && c.Length != prefix.Bits():
		return false
	case c.Pool != "":
		return c.Pool == pool
	}
	return c.Prefix.IsValid() || prefix.Addr().Is6() == c.IPv6
}

// ipv6 is the family: that of the prefix, where the claim says which.
func (c *claim) ipv6() bool {
	if c.Prefix.IsValid() {
		return c.Prefix.Addr().Is6()
	}
	return c.IPv6
}

// note is kept with the entry of a claim that names no pool: what it was claimed for. So a claim that asks for something else is
// told from a pool whose purpose was changed, which takes nothing from anybody.
func (c *claim) note() string {
	if c.Pool != "" {
		return ""
	}
	return fmt.Sprintf("%s addresses of %s", c.Purpose, networkOf(c.Network))
}

// fits tells whether a pool is of the claim's purpose, network and family. A pool of no network is of all.
func (c *claim) fits(p *pool) bool {
	return p.known && p.spec.Purpose == c.Purpose && p.ipv6() == c.ipv6() && (p.spec.Network == "" || p.spec.Network == c.Network)
}

// length of the prefix that a claim asks of a pool.
func (c *claim) length(p *pool) int {
	switch {
	case c.Prefix.IsValid():
		return c.Prefix.Bits()
	case c.Length > 0:
		return c.Length
	case p.spec.ClaimLength > 0:
		return p.spec.ClaimLength
	}
	return p.bits()
}

// request is what is asked of the ledger.
func (c *claim) request(p *pool) ledger.Request {
	r := ledger.Request{Owner: c.Owner, Pool: p.name, Prefix: c.Prefix, Tenant: c.Tenant, Note: c.note()}
	if !c.Prefix.IsValid() {
		r.Length = c.length(p)
	}
	return r
}

// refusal is why a claim cannot have something, of one pool or of all.
type refusal struct{ reason, message string }

// candidates are the pools that may meet a claim, in the order of their names. If there is none, the refusal says why.
func (t *Tier) candidates(c *claim) ([]*pool, refusal) {
	if c.Pool != "" {
		p := t.pools[c.Pool]
		if p == nil || !p.known {
			return nil, refusal{ReasonPoolNotFound, fmt.Sprintf("pool: there is no pool %s", c.Pool)}
		}
		if why := t.refuses(c, p); why.reason != "" {
			return nil, why
		}
		return []*pool{p}, refusal{}
	}
	var out []*pool
	last := refusal{ReasonNoPool, fmt.Sprintf("there is no %s pool of purpose %s for %s", family(c.ipv6()), c.Purpose, networkOf(c.Network))}
	for _, name := range slices.Sorted(maps.Keys(t.pools)) {
		p := t.pools[name]
		if !c.fits(p) {
			continue
		}
		if why := t.refuses(c, p); why.reason != "" {
			last = why
			continue
		}
		out = append(out, p)
	}
	return out, last
}

// refuses says why a pool can never meet a claim as both are now.
func (t *Tier) refuses(c *claim, p *pool) refusal {
	length := c.length(p)
	largest := p.bits() + 1
	inside := false
	for _, r := range p.spec.Ranges {
		largest = min(largest, r.Prefix.Bits())
		inside = inside || c.Prefix.IsValid() && covers(r.Prefix, c.Prefix)
	}
	switch {
	case c.Prefix.IsValid() && !inside:
		return refusal{ReasonOutsidePool, fmt.Sprintf("prefix: %s is in no range of pool %s", c.Prefix, p.name)}
	case length > p.bits():
		return refusal{ReasonOutsidePool, fmt.Sprintf("length: /%d is longer than an address of pool %s; want at most /%d", length, p.name, p.bits())}
	case length < largest:
		return refusal{ReasonTooLarge, fmt.Sprintf("length: a /%d is larger than every range of pool %s; the largest is a /%d", length, p.name, largest)}
	case !t.global() && t.ownLength(p) == 0 && len(p.prefixes) == 0:
		return refusal{ReasonNoPool, fmt.Sprintf("pool %s is not handed down to %s", p.name, t.place())}
	}
	return refusal{}
}

// ownLength is that of the prefixes which the place gets of a pool; 0: none.
func (t *Tier) ownLength(p *pool) int {
	switch {
	case t.global() || !p.known:
		return 0
	case t.cfg.Zone == "":
		return p.spec.RegionLength
	}
	return p.spec.ZoneLength
}

// childLength is that of the prefixes which places below get of a pool; 0: none.
func (t *Tier) childLength(p *pool) int {
	switch {
	case t.cfg.Zone != "" || !p.known:
		return 0
	case t.global():
		return p.spec.RegionLength
	}
	return p.spec.ZoneLength
}

func family(ipv6 bool) string {
	if ipv6 {
		return "IPv6"
	}
	return "IPv4"
}

func networkOf(name string) string {
	if name == "" {
		return "all networks"
	}
	return "network " + name
}

// wait has a claim wait for room in pools, and unwait ends that. Either changes what the pools lack.
func (t *Tier) wait(c *claim, pools []*pool) {
	c.pools = pools
	for _, p := range pools {
		p.waiting[c.Owner] = c
		t.todo.asks.add(p.name)
	}
}

func (t *Tier) unwait(c *claim) {
	for _, p := range c.pools {
		delete(p.waiting, c.Owner)
		t.todo.asks.add(p.name)
	}
	c.pools = nil
}

// allotment is what became of a claim.
func (t *Tier) allotment(c *claim) record.Record {
	a := record.Allotment{Owner: c.Owner, Region: t.cfg.Region, Zone: t.cfg.Zone, Reason: c.reason, Message: c.message}
	if c.entry.Owner != "" {
		a.Pool, a.Prefix = c.entry.Pool, c.entry.Prefix
	}
	return a.Record()
}
