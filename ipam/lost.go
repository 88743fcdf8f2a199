package ipam

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// A place whose store and witness were lost together opens an empty ledger and cannot tell by itself that there was another. Its
// parent can: it keeps with each prefix the epoch of the ledger that holds it, by the place's own word.
//
//	parent: record, epoch 0 ──▶ child: holds it, names it as held, with its epoch
//	parent: record, epoch E ◀──────┘        names it no more
//
// Of a prefix that a ledger of another epoch held the place takes no block, so that nothing of it is given, and it is not named as
// returned, until a Repair says so.

// isLost tells whether a prefix that the place was given was held by a ledger that is lost. What lies in it may be in use.
func (t *Tier) isLost(p *pool, prefix netip.Prefix) bool {
	held := p.prefixes[prefix].Epoch
	if _, has := p.held(prefix); has || held == 0 {
		return false
	}
	epoch, _ := t.cfg.Ledger.Position()
	return held != epoch && !t.cfg.Ledger.Accepted(held)
}

// withhold finds the prefixes of a pool that are lost among those that the place should have, and takes them out. While there are
// some, no claim is met from the pool: most had something of them, and keep that until a person has decided.
func (t *Tier) withhold(p *pool, wanted map[netip.Prefix]ledger.Block) {
	before := p.lost
	p.lost = nil
	for _, prefix := range slices.SortedFunc(maps.Keys(wanted), netip.Prefix.Compare) {
		if t.isLost(p, prefix) {
			p.lost = append(p.lost, prefix)
			delete(wanted, prefix)
		}
	}
	if slices.Equal(before, p.lost) {
		return
	}
	if len(p.lost) > 0 {
		t.cfg.Log.Error("nothing is given of prefixes that a store held which is lost, until somebody repairs it", "pool", p.name,
			"prefixes", p.lost)
	}
	t.todo.asks.add(p.name) // it is told above
	for owner := range t.unmet {
		t.todo.claims.add(owner)
	}
}

// sorrow says what is lost of a pool, and what to do.
func (t *Tier) sorrow(p *pool) string {
	what := p.lost[0].String()
	if n := len(p.lost) - 1; n > 0 {
		what = fmt.Sprintf("%s and %d more", what, n)
	}
	return fmt.Sprintf("nothing is given of %s of pool %s: the store in which %s had written who has something of it is lost; "+
		"`meridian ipam check --at %s --repair --yes` opens it", what, p.name, t.place(), t.place())
}

// reopen takes a prefix that is lost as a block, with nothing taken. Claims for certain prefixes are met before others (meet).
func (t *Tier) reopen(ctx context.Context, f Finding) (what string, err error) {
	p := t.pools[f.Pool]
	if p == nil || !t.isLost(p, f.Prefix) {
		return "", nil
	}
	wanted, _ := t.wanted(p)
	b, ok := wanted[f.Prefix]
	if !ok {
		return "", nil
	}
	if err := t.cfg.Ledger.PutBlock(ctx, p.settings(), b); err != nil {
		return "", err
	}
	t.look(p)
	t.touch(p.name)
	return fmt.Sprintf("%s is opened, with nothing taken of it", f.Prefix), nil
}
