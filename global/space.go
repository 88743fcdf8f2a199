package global

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/ipam/tenure"
)

// errNoLedger: what is taken at Global cannot be read.
var errNoLedger = errors.New("the ledger of addresses is not open")

// space is Global's own part of address space, while that is open. All methods may be called from several goroutines.
type space struct {
	mu    sync.Mutex // guards all below
	tier  *ipam.Tier // nil while there is none
	pools map[string]ipam.PoolState
}

func newSpace() *space { return &space{pools: map[string]ipam.PoolState{}} }

// serve tells a tier what regions have said, and from now on what they say; nil is none.
func (s *space) serve(t *ipam.Tier, said func(each func(region string, d record.Demand))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.pools) // the next one tells anew
	if s.tier = t; t != nil {
		said(t.Demand)
		t.Settled() // there is nobody above to whom anything could go back
	}
}

// demand hands on what a region says of a pool; gone that it says so no more.
func (s *space) demand(region string, d record.Demand) {
	if t := s.opened(); t != nil {
		t.Demand(region, d)
	}
}

func (s *space) gone(region string, key record.Key) {
	if t := s.opened(); t != nil {
		t.Gone(region, key)
	}
}

func (s *space) opened() *ipam.Tier {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tier
}

// stands notes how a pool stands.
func (s *space) stands(state ipam.PoolState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[state.Name] = state
	if !state.Known && len(state.Usage.Blocks) == 0 {
		delete(s.pools, state.Name)
	}
}

// Holders is what the ledger says.
func (s *space) Holders(ctx context.Context, pool string, p netip.Prefix, limit int) ([]holder, error) {
	t := s.opened()
	if t == nil {
		return nil, errNoLedger
	}
	entries, err := t.Ledger().FindIn(ctx, pool, p, limit)
	if err != nil {
		return nil, err
	}
	var out []holder
	for _, e := range entries {
		out = append(out, holder{e.Owner, e.Prefix})
	}
	return out, nil
}

// Empty goes by what the tier has reported: the ledger may be empty because the tier has yet to bring what is allowed to it.
func (s *space) Empty(pool string, revision int64, of netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, told := s.pools[pool]
	if s.tier == nil || !told || state.Revision < revision {
		return false
	}
	return !slices.ContainsFunc(state.Usage.Blocks, func(b ledger.BlockUsage) bool {
		return (!of.IsValid() || of.Overlaps(b.Prefix)) && !(b.Closed && b.Idle)
	})
}

// usage is how a pool stands at Global, as was last heard.
func (s *space) usage(pool string) poolUsage {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, known := s.pools[pool]
	out := poolUsage{known: known, delegated: state.Delegated, problems: state.Problems}
	for _, b := range state.Usage.Blocks {
		out.addresses += b.Addresses
		out.taken += b.Taken
	}
	return out
}

// allocate meets Global's own claims and delegates to regions, for one term.
func (g *Global) allocate(ctx context.Context, writer ipam.Writer) error {
	if g.tenure == nil {
		return nil
	}
	return g.tenure.Run(ctx, tenure.Term{Writer: writer, Began: g.began,
		Told:      make(chan struct{}), // nobody waits: there is no parent
		Reclaimed: g.forgetSpace,
		Tell: func(r record.Record) {
			if r.Key.Kind != record.KindAllotment {
				return
			}
			if err := g.reports.take(g.mirror.Snapshot(), "", r); err != nil {
				g.log.Error("what became of a claim cannot be read", "record", r.Key, "error", err)
				return
			}
			g.queue.add(func(w *work) { w.allotted[ownerOf(r.Key)] = true })
		},
		Untell: func(key record.Key, _ record.Cause) {
			g.reports.drop("", key)
			g.queue.add(func(w *work) { w.allotted[ownerOf(key)] = true })
		}})
}

// forgetSpace drops what a region said of address space: it is gone for good.
func (g *Global) forgetSpace(region string) {
	g.mu.Lock()
	delete(g.ledgers, region) // should it come back all the same, it is to tell all
	g.mu.Unlock()
	keys := g.reports.forgetSpace(region)
	for _, key := range keys {
		if key.Kind == record.KindDemand {
			g.space.gone(region, key)
		}
	}
	g.queue.add(func(w *work) {
		for _, key := range keys {
			if key.Kind == record.KindDemand {
				w.demanded[poolOf(key)] = true
			} else {
				w.allotted[ownerOf(key)] = true
			}
		}
	})
	g.sessions.Dismiss(region, "what region "+region+" had of address space was taken back")
}

// began serves a tier that begins, or none.
func (g *Global) began(t *ipam.Tier) {
	g.space.serve(t, g.reports.eachDemand)
	g.queue.add(func(w *work) { w.freed[everyPool] = true })
}

// stands notes how a pool stands at Global, and has looked at again what hangs on that.
func (g *Global) stands(state ipam.PoolState) {
	g.space.stands(state)
	g.queue.add(func(w *work) { w.freed[state.Name] = true })
}
