package ipam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// together is how many releases are under way at once, for the ledger to batch.
const together = 64

// release ends what the owners hold whose claims are gone.
func (t *Tier) release(ctx context.Context) error {
	owners := slices.Sorted(maps.Keys(t.todo.releases))
	errs := t.releaseAll(ctx, owners)
	for i, owner := range owners {
		if errs[i] == nil {
			delete(t.todo.releases, owner)
		}
	}
	return errors.Join(errs...)
}

// releaseAll releases owners; one that holds nothing is released already.
func (t *Tier) releaseAll(ctx context.Context, owners []string) []error {
	return releaseEach(ctx, owners, func(ctx context.Context, owner string) error {
		_, err := t.cfg.Ledger.Release(ctx, owner)
		return err
	})
}

// releaseEach is releaseAll by another's hand.
func releaseEach(ctx context.Context, owners []string, release func(ctx context.Context, owner string) error) []error {
	errs := make([]error, len(owners))
	var group errgroup.Group
	group.SetLimit(together)
	for i, owner := range owners {
		group.Go(func() error {
			if err := release(ctx, owner); err != nil && !errors.Is(err, ledger.ErrNotFound) {
				errs[i] = fmt.Errorf("releasing what %s holds: %w", owner, err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nothing
	return errs
}

// attempt is a claim on its way through the pools that may meet it.
type attempt struct {
	claim *claim
	// pools are those that are still to be tried; full those that had no room.
	pools, full []*pool
	// taken is set where one had, but not the prefix that the claim asks for.
	taken *ledger.Taken
}

// meet gives the claims that are to be looked at what they ask for, all of them at once from their first pool, then those for
// which there was no room from their next.
func (t *Tier) meet(ctx context.Context) error {
	var errs []error
	var attempts []*attempt
	for _, owner := range slices.Sorted(maps.Keys(t.todo.claims)) {
		a, err := t.attempt(ctx, t.claims[owner])
		if err != nil {
			errs = append(errs, err)
		} else if a != nil {
			attempts = append(attempts, a)
		}
	}
	// Those that ask for a certain prefix come first, before it is another's.
	slices.SortStableFunc(attempts, func(a, b *attempt) int { return cmp.Compare(a.order(), b.order()) })
	for len(attempts) > 0 {
		var next []*attempt
		var requests []ledger.Request
		for _, a := range attempts {
			requests = append(requests, a.claim.request(a.pools[0]))
		}
		for i, result := range t.cfg.Ledger.AllocateBatch(ctx, requests) {
			again, err := t.result(attempts[i], result)
			if err != nil {
				errs = append(errs, fmt.Errorf("meeting claim %s: %w", requests[i].Owner, err))
			} else if again {
				next = append(next, attempts[i])
			}
		}
		attempts = next
	}
	return errors.Join(errs...)
}

// attempt begins to meet a claim; nil: there is nothing to try. What the owner holds and the claim does not ask for any more is
// released first.
func (t *Tier) attempt(ctx context.Context, c *claim) (*attempt, error) {
	t.unwait(c)
	if c.holds() {
		t.settle(c, refusal{}, nil)
		return nil, nil
	}
	if c.entry.Owner != "" {
		if err := t.releaseAll(ctx, []string{c.Owner})[0]; err != nil {
			return nil, err
		}
		t.cfg.Log.Info("a claim asks for something else now", "owner", c.Owner, "released", c.entry.Prefix)
		c.entry = ledger.Entry{}
	}
	pools, why := t.candidates(c)
	if len(pools) == 0 {
		t.settle(c, why, nil)
		return nil, nil
	}
	if i := slices.IndexFunc(pools, func(p *pool) bool { return len(p.lost) > 0 }); i >= 0 {
		t.settle(c, refusal{ReasonStoreSetBack, t.sorrow(pools[i])}, nil)
		return nil, nil
	}
	return &attempt{claim: c, pools: pools}, nil
}

// order is lower for what is to be tried first.
func (a *attempt) order() int {
	if a.claim.Prefix.IsValid() {
		return 0
	}
	return 1
}

// result takes in what the ledger said to an attempt. Again: the next pool is to be tried. An error leaves the claim to be done.
func (t *Tier) result(a *attempt, r ledger.Result) (again bool, err error) {
	var taken *ledger.Taken
	var conflict *ledger.Conflict
	switch {
	case r.Err == nil:
		a.claim.entry = r.Entry
		t.settle(a.claim, refusal{}, nil)
		return false, nil
	case errors.As(r.Err, &conflict): // from a request whose end was not heard of; it is looked at again
		a.claim.entry = conflict.Holds
		return false, r.Err
	case errors.As(r.Err, &taken):
		a.taken = taken
	case errors.Is(r.Err, ledger.ErrInvalid) && !a.claim.Prefix.IsValid():
		t.settle(a.claim, refusal{ReasonInvalid, r.Err.Error()}, nil)
		return false, nil
	case !errors.Is(r.Err, ledger.ErrFull) && !errors.Is(r.Err, ledger.ErrUnknownPool) && !errors.Is(r.Err, ledger.ErrInvalid):
		return false, r.Err
	}
	a.full, a.pools = append(a.full, a.pools[0]), a.pools[1:]
	if len(a.pools) > 0 {
		return true, nil
	}
	t.settle(a.claim, t.why(a), a.full)
	return false, nil
}

// why says why a claim waits, in words that do not change while it does.
func (t *Tier) why(a *attempt) refusal {
	c, first := a.claim, a.full[0]
	names := first.name
	for _, p := range a.full[1:] {
		names += ", " + p.name
	}
	switch {
	case a.taken != nil:
		return refusal{ReasonPrefixTaken, "prefix: " + a.taken.Error()}
	case c.Prefix.IsValid():
		return refusal{ReasonOutsidePool, fmt.Sprintf("prefix: %s is in nothing that %s may take from pool %s", c.Prefix, t.place(), names)}
	case t.global():
		return refusal{ReasonPoolExhausted, fmt.Sprintf("there is no free /%d in pool %s", c.length(first), names)}
	case t.ownLength(first) == 0:
		return refusal{ReasonPoolExhausted, fmt.Sprintf("there is no free /%d in pool %s, of which %s gets no more", c.length(first), names, t.place())}
	}
	return refusal{ReasonWaiting, fmt.Sprintf("there is no free /%d in what %s holds of pool %s; it asks for more", c.length(first), t.place(), names)}
}

// settle notes what became of a claim, and tells it.
func (t *Tier) settle(c *claim, why refusal, full []*pool) {
	delete(t.todo.claims, c.Owner)
	c.reason, c.message = why.reason, why.message
	t.wait(c, full)
	if c.entry.Owner == "" {
		t.unmet[c.Owner] = c
	} else {
		delete(t.unmet, c.Owner)
	}
	if r := t.allotment(c); r.Version != c.told {
		c.told = r.Version
		t.cfg.Tell(r)
	}
}
