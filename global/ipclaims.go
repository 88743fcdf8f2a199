package global

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
)

// claimPrefix tells IPClaims from applications among names that are planned, charged and guarded.
const claimPrefix = "IPClaim "

// planIPClaim decides one IPClaim, NAMESPACE/NAME, anew. One that is gone keeps what it has until its removal is due.
func (p *planner) planIPClaim(key string, removed map[string]record.Cause) {
	owner, name := ownerIPClaim+key, claimPrefix+key
	namespace, _, _ := strings.Cut(key, "/")
	p.quotas.settle(name, p.tenantOf(key))
	spec, ok := p.hub.ipclaims.get(key)
	if !ok {
		cause, due := removed[key]
		if !due {
			return
		}
		p.quotas.release(name)
		p.asks.spaces.remove(namespace, key)
		p.letGo(owner, cause)
		return
	}
	p.asks.spaces.add(namespace, key)
	a, err := askOf(spec, p.tenantOf(key))
	if err != nil {
		p.board.asked(owner, &asked{refused: &refusal{v1alpha1.ReasonInvalidSpec, err.Error()}})
		return
	}
	if refused := p.affordClaim(name, a, spec.CreationTimestamp.Time); refused != nil {
		p.board.asked(owner, &asked{refused: refused, claim: p.asks.claims[owner]})
		return
	}
	p.stake(a)
	if held, has := p.asks.claims[owner]; has {
		p.chargeClaim(name, a.tenant, held)
	}
}

// affordClaim refuses an IPClaim, or an ExternalService, that its tenant has no room for, if it asks for anything that it does not have.
func (p *planner) affordClaim(name string, a ask, created time.Time) *refusal {
	q := p.quotas.accounts[a.tenant]
	want, refused := p.claimFor(a)
	held, has := p.asks.claims[a.owner]
	want.Tenant = held.Tenant
	if q == nil || refused != nil || has && want == held {
		return nil
	}
	b := bid{created: created, addresses: p.addressesOf(a) - p.quotas.charges[name].addresses}
	if p.unmeasured(a) {
		b.addresses = 1 << mostBits // it may be as many
		if p.quotas.afford(name, a.tenant, b) == nil {
			return nil
		}
		p.asks.lacking.add(anyPool(a.purpose, a.ipv6), a.owner)
		return &refusal{ipam.ReasonNoPool, fmt.Sprintf("there is no accepted IPPool of purpose %s for it, so how much it asks for is not known, "+
			"and tenant %s has a quota; it waits for one, or say spec.length", a.purpose, a.tenant)}
	}
	if q.fits(b) {
		return nil
	}
	return p.quotas.afford(name, a.tenant, b)
}

// askOf reads what an IPClaim asks for. The schema has checked it.
func askOf(c *v1alpha1.IPClaim, tenant string) (ask, error) {
	s := c.Spec
	out := ask{owner: ownerIPClaim + c.Namespace + "/" + c.Name, pool: s.Pool, purpose: record.Purpose(s.Purpose), network: s.Network,
		ipv6: s.Family == v1alpha1.IPv6, zone: s.Zone, tenant: tenant}
	if s.Length != nil {
		out.length = int(*s.Length)
	}
	if s.Prefix == "" {
		return out, nil
	}
	addr, err := netip.ParseAddr(s.Prefix)
	if err == nil {
		out.prefix = netip.PrefixFrom(addr, addr.BitLen())
	} else if out.prefix, err = netip.ParsePrefix(s.Prefix); err != nil {
		return out, fmt.Errorf("spec.prefix: %w", err)
	}
	out.ipv6, out.length = out.prefix.Addr().Is6(), out.prefix.Bits()
	return out, nil
}

// mostBits bounds what a prefix counts as: 2^40 addresses.
const mostBits = 40

// addressCount is how many addresses a prefix of that length has, as a quota counts them.
func addressCount(length int, ipv6 bool) int64 {
	return int64(1) << min(longest(ipv6)-length, mostBits)
}

// unmeasured tells that an ask says no length, and that there is no pool yet that has one for it.
func (p *planner) unmeasured(a ask) bool {
	if a.single || a.length > 0 || a.pool != "" {
		return false
	}
	for _, pool := range p.pools.force {
		if a.fits(pool) {
			return false
		}
	}
	return true
}

// fits tells whether an ask may be met from a pool. A pool of no network is for all.
func (a ask) fits(pool record.Pool) bool {
	if a.pool != "" {
		return a.pool == pool.Name
	}
	return pool.Purpose == a.purpose && (pool.Network == "" || pool.Network == a.network) && poolIPv6(pool) == a.ipv6
}

// addressesOf is how many addresses an ask counts as: by the pool that it names, else by the one of those that fit that
// gives most.
func (p *planner) addressesOf(a ask) int64 {
	if a.single {
		return 1
	}
	var most int64 = 1
	for _, pool := range p.pools.force {
		if a.fits(pool) {
			length := pool.ClaimLength
			if a.length > 0 {
				length = min(a.length, longest(poolIPv6(pool)))
			}
			most = max(most, addressCount(length, poolIPv6(pool)))
		}
	}
	if most == 1 && a.length > 0 && a.pool == "" {
		return addressCount(a.length, a.ipv6)
	}
	return most
}

// chargeClaim notes what an IPClaim has: what it was given, or while that is not known what it asks for.
func (p *planner) chargeClaim(name, tenant string, held record.Claim) {
	now := charge{tenant: tenant, claim: true, addresses: p.addressesOf(ask{pool: held.Pool, purpose: held.Purpose, network: held.Network,
		ipv6: held.IPv6, length: held.Length})}
	if a, ok := p.reports.granted(held); ok {
		now.addresses = addressCount(a.Prefix.Bits(), a.Prefix.Addr().Is6())
	}
	if was, has := p.quotas.charges[name]; has && was.tenant == tenant && was.addresses == now.addresses {
		return
	}
	p.quotas.charge(name, now)
}

// recallClaims charges what IPClaims and ExternalServices have from the start of a term on.
func (p *planner) recallClaims() {
	for owner, held := range p.asks.claims {
		if key, ok := strings.CutPrefix(owner, ownerIPClaim); ok {
			namespace, _, _ := strings.Cut(key, "/")
			p.asks.spaces.add(namespace, key)
			p.chargeClaim(claimPrefix+key, p.tenantOf(key), held)
		}
		if key, ok := strings.CutPrefix(owner, ownerExternal); ok {
			p.chargeClaim(externalName(key), p.tenantOf(key), held)
		}
	}
}

// recharged counts anew what IPClaims have that were given something.
func (p *planner) rechargeClaims(allotted map[string]bool) {
	for owner := range allotted {
		if key, ok := strings.CutPrefix(owner, ownerIPClaim); ok {
			if held, has := p.asks.claims[owner]; has {
				p.chargeClaim(claimPrefix+key, p.tenantOf(key), held)
			}
		}
	}
}
