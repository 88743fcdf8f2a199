package global

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// holders tells what of a pool is taken at Global, delegated prefixes among it.
type holders interface {
	// Holders are the first limit of those of what overlaps a prefix of a pool, or was released and is in quarantine.
	Holders(ctx context.Context, pool string, p netip.Prefix, limit int) ([]holder, error)
	// Empty tells that whoever allocates knows the pool's record as of a revision of the store, or a later one, and that all
	// that it holds of a range, or of the pool where the range is invalid, is closed and idle.
	Empty(pool string, revision int64, of netip.Prefix) bool
}

// holder is one.
type holder struct {
	owner  string
	prefix netip.Prefix
}

// everyPool stands in work for all pools.
const everyPool = ""

// moved forgets what was known of who holds what of the pools that have changed, or of which something was taken or came back,
// and tells whether one of them waits for that.
func (p *pools) moved(w *work) bool {
	for name := range w.pools {
		delete(p.holding, name)
	}
	moved := func(name string) bool { return w.freed[name] || w.freed[everyPool] }
	again := false
	for name, r := range p.refused {
		if moved(name) && (r.reason == v1alpha1.ReasonInUse || r.reason == v1alpha1.ReasonPending) {
			delete(p.holding, name)
			again = true
		}
	}
	for name := range p.leaving {
		again = again || moved(name)
	}
	return again
}

// drain lets pools go that have no IPPool any more, when nothing of them is taken.
func (p *planner) drain(there map[string]bool) {
	for name, pool := range p.pools.force {
		if there[name] {
			continue
		}
		p.pools.leaving[name] = true
		if p.guard.doubtful() { // nobody can tell whether it was deleted
			continue
		}
		if drained(pool) && p.spent(pool, netip.Prefix{}) {
			delete(p.pools.force, name)
			delete(p.pools.leaving, name)
			delete(p.pools.holding, name)
			continue
		}
		p.pools.force[name] = draining(pool)
	}
}

// drained tells whether nothing more is to be taken of a pool, and draining is the pool as it is then.
func drained(pool record.Pool) bool {
	return !slices.ContainsFunc(pool.Ranges, func(r record.Range) bool { return !r.Draining })
}

func draining(pool record.Pool) record.Pool {
	pool.Ranges = slices.Clone(pool.Ranges)
	for i := range pool.Ranges {
		pool.Ranges[i].Draining = true
	}
	return pool
}

// spent tells whether nothing of a draining range is taken, nor can be any more: the pool in force is the one that is stored, and
// whoever allocates has told how that stands. An invalid range is all of the pool.
func (p *planner) spent(force record.Pool, of netip.Prefix) bool {
	e, stored := p.mirror.Snapshot().Get(record.PoolKey(force.Name))
	return stored && e.Version == force.Record().Version && p.space.Empty(force.Name, e.Revision, of)
}

// retain is a pool as it comes into force. The ranges that were taken out stay until nothing of them is taken or can be, draining,
// and what is put in their place waits for that; so does all of another pool of the same name.
func (p *planner) retain(ctx context.Context, now record.Pool) (record.Pool, *refusal) {
	before, has := p.pools.force[now.Name]
	if !has {
		return now, nil
	}
	if before.Purpose != now.Purpose || before.Network != now.Network || poolIPv6(before) != poolIPv6(now) {
		if drained(before) && p.spent(before, netip.Prefix{}) {
			return now, nil
		}
		return draining(before), &refusal{v1alpha1.ReasonPending, fmt.Sprintf("the IPPool %s that was deleted is yet to give back its addresses", now.Name)}
	}
	var kept []record.Range
	for _, r := range before.Ranges {
		within := slices.ContainsFunc(now.Ranges, func(n record.Range) bool {
			return n.Prefix.Bits() <= r.Prefix.Bits() && n.Prefix.Overlaps(r.Prefix)
		})
		if !within && !(r.Draining && p.spent(before, r.Prefix)) {
			kept = append(kept, record.Range{Prefix: r.Prefix, Draining: true})
		}
	}
	if len(kept) == 0 {
		return now, nil
	}
	now.Ranges = slices.DeleteFunc(now.Ranges, func(n record.Range) bool {
		return slices.ContainsFunc(kept, func(k record.Range) bool { return k.Prefix.Overlaps(n.Prefix) })
	})
	now.Ranges = append(now.Ranges, kept...)
	slices.SortFunc(now.Ranges, func(a, b record.Range) int { return a.Prefix.Compare(b.Prefix) })
	return now, p.lingers(ctx, now.Name, kept[0].Prefix)
}

// lingers says why a range that was taken out of a pool is still in force.
func (p *planner) lingers(ctx context.Context, pool string, prefix netip.Prefix) *refusal {
	const until = "nothing more is taken of it, and it goes when all of it is back"
	if why := p.inUse(ctx, pool, prefix, until); why != nil {
		return why
	}
	return &refusal{v1alpha1.ReasonPending, fmt.Sprintf("%s is being closed; %s", prefix, until)}
}

// reserved refuses reservations, new ones of a pool in force, in what somebody has.
func (p *planner) reserved(ctx context.Context, now record.Pool) *refusal {
	before, has := p.pools.force[now.Name]
	if !has {
		return nil
	}
	for _, r := range now.Reserved {
		if slices.Contains(before.Reserved, r) {
			continue
		}
		if why := p.inUse(ctx, now.Name, r, "the spec before stays in force until all of it is back"); why != nil {
			return why
		}
	}
	return nil
}

// fewHolders is how many a message names.
const fewHolders = 5

// inUse says who has something of a prefix, nil if nobody has, and what follows. The ledger is asked once until something of the
// pool is taken or comes back.
func (p *planner) inUse(ctx context.Context, pool string, prefix netip.Prefix, so string) *refusal {
	if why := p.pools.holding[pool][prefix]; why != nil {
		return why
	}
	holders, err := p.space.Holders(ctx, pool, prefix, fewHolders+1)
	var why *refusal
	switch {
	case err != nil:
		why = &refusal{v1alpha1.ReasonPending, fmt.Sprintf("reading what is taken of %s: %v; %s", prefix, err, so)}
	case len(holders) > 0:
		why = &refusal{v1alpha1.ReasonInUse, fmt.Sprintf("%s is in use by %s; %s", prefix, namesOf(holders), so)}
	default:
		return nil
	}
	if p.pools.holding[pool] == nil {
		p.pools.holding[pool] = map[netip.Prefix]*refusal{}
	}
	p.pools.holding[pool][prefix] = why
	return why
}

func namesOf(holders []holder) string {
	var texts []string
	for _, h := range holders[:min(len(holders), fewHolders)] {
		texts = append(texts, fmt.Sprintf("%s (%s)", h.owner, h.prefix))
	}
	if len(holders) > fewHolders {
		texts = append(texts, "others")
	}
	return listed(texts)
}
