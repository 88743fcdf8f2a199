package ipam

import (
	"cmp"
	"context"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// PoolState is how a pool stands at a place.
type PoolState struct {
	Name string
	// Spec is the pool's record; Known: there is one.
	Spec  record.Pool
	Known bool
	// Revision is that of the store in which Spec was written.
	Revision int64
	// Usage is the ledger's.
	Usage ledger.Usage
	// Delegated is how many addresses places below were given. They count as taken in Usage.
	Delegated float64
	// Waiting is how many claims there is no room for; Short how many prefixes that places below want.
	Waiting, Short int
	// Stranded are blocks that the place should not have any more, with the owners of what is taken there.
	Stranded []Stranded
	// Lost are prefixes that the place was given and gives nothing of: the ledger that held them is lost.
	Lost []netip.Prefix
	// Problems say what of the pool's record cannot be done here or below, and why: the first few.
	Problems []string
	// rate is how fast it fills.
	rate rate
}

// Stranded is a block that a place holds without being entitled to it: its range left the pool, or its parent reclaimed it. It
// is closed, and dropped when nothing of it is taken any more.
type Stranded struct {
	Prefix netip.Prefix
	// Owners are the first; More tells that there are others.
	Owners []string
	More   bool
}

// Delegation is a prefix that a place below was given.
type Delegation struct {
	Child, Pool, Owner string
	Prefix             netip.Prefix
	// Leaving: the child has returned it and is yet to say that it has dropped it.
	Leaving bool
}

// view is what others see of the loop's state.
type view struct {
	pools       []*PoolState // by name
	delegations []Delegation
	sizes       map[string]float64 // of the delegations, in addresses, by pool
}

// Pools are the pools that the place knows or holds blocks of, by name, as of the loop's last round. Nothing of it may be written
// to.
func (t *Tier) Pools() []PoolState {
	shown := t.view.Load().pools
	out := make([]PoolState, len(shown))
	for i, s := range shown {
		out[i] = *s
	}
	return out
}

// Delegations are what places below were given, by child, pool and address, as of the loop's last round.
func (t *Tier) Delegations() []Delegation { return t.view.Load().delegations }

// age has the pools shown anew that are about to be asked for: whatever changes of a pool, that is looked at, too.
func (t *Tier) age(context.Context) error {
	maps.Copy(t.stale, t.todo.asks)
	return nil
}

// publish shows others what there is now, and reports the pools that stand otherwise than before.
func (t *Tier) publish() {
	if len(t.stale) == 0 && !t.moved {
		return
	}
	before := t.view.Load()
	v := &view{pools: slices.Clone(before.pools), delegations: before.delegations, sizes: before.sizes}
	if t.moved {
		v.delegations, v.sizes = t.delegations()
		t.moved = false
	}
	for name := range t.stale {
		t.show(v, name)
	}
	clear(t.stale)
	t.view.Store(v)
}

// show brings a pool of a view to how it stands, and reports it if that is otherwise than before. One of which there is nothing to
// be said any more is forgotten.
func (t *Tier) show(v *view, name string) {
	at, shown := slices.BinarySearchFunc(v.pools, name, func(s *PoolState, name string) int { return strings.Compare(s.Name, name) })
	p := t.pools[name]
	if p == nil || p.nothing() && v.sizes[name] == 0 {
		delete(t.pools, name)
		if shown {
			v.pools = slices.Delete(v.pools, at, at+1)
		}
		return
	}
	state := p.state()
	state.Problems = t.problems(p)
	state.Delegated = v.sizes[name]
	switch {
	case !shown:
		v.pools = slices.Insert(v.pools, at, &state)
	case reflect.DeepEqual(state, *v.pools[at]):
		return
	default:
		v.pools[at] = &state
	}
	if t.cfg.Report != nil {
		t.cfg.Report(state)
	}
}

// delegations lists what places below were given, and how many addresses that are by pool.
func (t *Tier) delegations() (all []Delegation, sizes map[string]float64) {
	sizes = map[string]float64{}
	for _, c := range t.children {
		for pool, prefixes := range c.given {
			for prefix, g := range prefixes {
				all = append(all, Delegation{Child: c.name, Pool: pool, Owner: g.owner, Prefix: prefix, Leaving: g.leaving})
				sizes[pool] += math.Ldexp(1, prefix.Addr().BitLen()-prefix.Bits())
			}
		}
	}
	slices.SortFunc(all, func(a, b Delegation) int {
		return cmp.Or(strings.Compare(a.Child, b.Child), strings.Compare(a.Pool, b.Pool), a.Prefix.Compare(b.Prefix))
	})
	return all, sizes
}

// nothing tells whether there is nothing to be said of a pool any more.
func (p *pool) nothing() bool {
	return !p.known && len(p.usage.Blocks)+len(p.prefixes)+len(p.waiting)+len(p.short) == 0 && p.told == nil
}

func (p *pool) state() PoolState {
	s := PoolState{Name: p.name, Spec: p.spec, Known: p.known, Revision: p.revision, Usage: p.usage, Waiting: len(p.waiting),
		Lost: p.lost, rate: p.rate}
	for _, lengths := range p.short {
		s.Short += len(lengths)
	}
	for _, prefix := range slices.SortedFunc(maps.Keys(p.stranded), netip.Prefix.Compare) {
		used := p.stranded[prefix].used
		s.Stranded = append(s.Stranded, Stranded{Prefix: prefix, Owners: used.Owners, More: used.More})
	}
	return s
}
