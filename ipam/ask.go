package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/delegation"
)

// steps is in how many steps the share that is taken is told to the parent, so that not every allocation goes up.
const steps = 64

// ask gives back what is idle, and tells the parent what the place wants, of the pools to be looked at.
func (t *Tier) ask(ctx context.Context) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.todo.asks)) {
		p := t.pools[name]
		if p == nil || t.global() {
			delete(t.todo.asks, name)
			continue
		}
		decision := t.decide(p)
		if err := t.giveBack(ctx, p, decision.Return); err != nil {
			if fatal(ctx, err) {
				return err
			}
			errs = append(errs, fmt.Errorf("giving back what is idle of pool %s: %w", name, err))
			continue
		}
		delete(t.todo.asks, name)
		t.tell(p, decision)
	}
	return errors.Join(errs...)
}

// decide is what the place wants of a pool. Blocks that are stranded are none of those that it was given.
func (t *Tier) decide(p *pool) delegation.Decision {
	terms := delegation.Terms{Length: t.ownLength(p), LowWater: p.spec.LowWater, HighWater: p.spec.HighWater}
	terms.Needed = terms.Length > 0 && t.serves(p)
	unmet, soon := t.lacks(p)
	return delegation.Decide(terms, p.granted(), unmet, !t.settled || soon)
}

// serves tells whether the place has clusters that a pool is for. One that has none keeps nothing in store: nobody else may ever
// take it.
func (t *Tier) serves(p *pool) bool { return p.isFor(t.networks) }

// isFor tells whether a pool is for clusters on these networks. A pool of no network is for all.
func (p *pool) isFor(networks map[string]int) bool {
	if p.spec.Network == "" {
		return len(networks) > 0
	}
	return networks[p.spec.Network] > 0
}

// granted are the blocks that the parent gave.
func (p *pool) granted() []delegation.Block {
	var out []delegation.Block
	for _, b := range p.usage.Blocks {
		if _, ok := p.prefixes[b.Prefix]; ok {
			out = append(out, delegation.Block{Prefix: b.Prefix, Free: b.Addresses - b.Taken, Idle: b.Idle, Closed: b.Closed})
		}
	}
	return out
}

// lacks are the lengths that there is no room for: of claims, and of what places below want. What asks for one certain prefix
// is not helped by another. Soon tells that there is room for others, which are about to be tried again: nothing more is asked for
// those, and nothing is given back before.
func (t *Tier) lacks(p *pool) (unmet []int, soon bool) {
	lack := func(length int, room bool) {
		if room {
			soon = true
		} else {
			unmet = append(unmet, length)
		}
	}
	for _, c := range p.waiting {
		if !c.Prefix.IsValid() {
			lack(c.length(p), p.room(c.length(p)))
		}
	}
	for child, lengths := range p.short {
		room := map[int]bool{} // most are of one length
		for _, length := range lengths {
			if _, known := room[length]; !known {
				room[length] = p.room(length) && t.spares(t.child(child), p, length)
			}
			lack(length, room[length])
		}
	}
	slices.Sort(unmet)
	return unmet, soon
}

// giveBack closes blocks for good. One of which something was taken meanwhile is looked at again, and opened.
func (t *Tier) giveBack(ctx context.Context, p *pool, prefixes []netip.Prefix) error {
	for _, prefix := range prefixes {
		b, _ := p.held(prefix)
		b.Closed = true
		if err := t.cfg.Ledger.PutBlock(ctx, p.settings(), b.Block); err != nil {
			return err
		}
		t.todo.blocks.add(p.name)
	}
	if len(prefixes) > 0 {
		t.look(p)
	}
	return nil
}

// tell says to the parent what is wanted and returned of a pool, if that is not what it was told.
func (t *Tier) tell(p *pool, decision delegation.Decision) {
	all, taken, _ := sums(p.usage)
	d := record.Demand{Pool: p.name, Region: t.cfg.Region, Zone: t.cfg.Zone, Want: decision.Want, Length: decision.Length, Addresses: all,
		Taken: taken}
	d.Problems = t.problems(p)
	d.Epoch, d.Revision = t.cfg.Ledger.Position()
	for _, b := range p.granted() {
		switch {
		case b.Returned():
			d.Returned = append(d.Returned, b.Prefix)
		case p.prefixes[b.Prefix].Epoch != d.Epoch:
			d.Held = append(d.Held, b.Prefix)
		}
	}
	if !p.known && len(p.usage.Blocks) == 0 && len(p.prefixes) == 0 {
		if p.told != nil {
			t.cfg.Untell(record.DemandKey(t.cfg.Region, t.cfg.Zone, p.name), record.CausePerson)
			p.told = nil
		}
		return
	}
	if p.told != nil && same(*p.told, d) {
		return
	}
	p.told = &d
	t.cfg.Tell(d.Record())
}

// same tells whether the parent need not be told another demand than it was: all is the same but the position, and what is taken
// by less than a step.
func same(told, d record.Demand) bool {
	return told.Want == d.Want && told.Length == d.Length && told.Addresses == d.Addresses &&
		math.Abs(told.Taken-d.Taken) < max(d.Addresses/steps, 1) && slices.Equal(told.Returned, d.Returned) && slices.Equal(told.Held, d.Held) &&
		slices.Equal(told.Problems, d.Problems)
}
