package ipam

import (
	"context"
	"errors"
	"fmt"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// Repair does what a report says would mend what it found, where that is still so, and returns what it did, one sentence for each.
// After an error what it did is done.
func (t *Tier) Repair(ctx context.Context, r Report) (done []string, err error) {
	var errs []error
	if n, err := t.cfg.Ledger.Mend(ctx, r.ledger); err != nil {
		errs = append(errs, fmt.Errorf("mending the ledger: %w", err))
	} else if n > 0 {
		done = append(done, fmt.Sprintf("%d leaked keys of the ledger removed", n))
	}
	err = t.within(ctx, func(ctx context.Context) error {
		for _, f := range r.Findings {
			if !f.Mendable {
				continue
			}
			what, err := t.repair(ctx, f)
			if err != nil {
				errs = append(errs, fmt.Errorf("mending %s of %s: %w", f.Kind, f.Prefix, err))
			} else if what != "" {
				done = append(done, what)
				t.cfg.Log.Warn("address space repaired", "finding", f.Kind, "pool", f.Pool, "prefix", f.Prefix, "owner", f.Owner)
			}
		}
		return nil
	})
	return done, errors.Join(append(errs, err)...)
}

// repair mends one finding of the place's own; those of the ledger are mended by it.
func (t *Tier) repair(ctx context.Context, f Finding) (what string, err error) {
	switch f.Kind {
	case FoundEntryWithoutClaim:
		if t.claims[f.Owner] != nil {
			return "", nil
		}
		if err := t.releaseAll(ctx, []string{f.Owner})[0]; err != nil {
			return "", err
		}
		return fmt.Sprintf("%s released, which %s held", f.Prefix, f.Owner), nil
	case FoundEntryWithoutPlace:
		if path := t.machinesOf(f.Owner); path == "" || !left(t.cfg.Mirror.Snapshot(), path) {
			return "", nil
		}
		if err := releaseEach(ctx, []string{f.Owner}, t.releaseLocal)[0]; err != nil {
			return "", err
		}
		return fmt.Sprintf("%s released, which %s held", f.Prefix, f.Owner), nil
	case FoundClaimWithoutEntry:
		return t.reallocate(ctx, f)
	case FoundDelegationWithoutRecord:
		return t.retell(ctx, f)
	case FoundRecordWithoutDelegation:
		if c := t.child(t.childName(childOf(f.record))); c.of(f.Pool)[f.Prefix] != nil {
			return "", nil
		}
		if err := t.adoptOne(ctx, f.record); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s delegated to whom it was told to", f.Prefix), nil
	case FoundLost:
		return t.reopen(ctx, f)
	case FoundMissingBlock:
		t.touch(f.Pool)
		return fmt.Sprintf("%s is taken as a block", f.Prefix), nil
	}
	return "", nil
}

// retell has a delegation's record be written.
func (t *Tier) retell(ctx context.Context, f Finding) (what string, err error) {
	e, err := t.cfg.Ledger.Get(ctx, f.Owner)
	if err != nil {
		return "", err
	}
	name, pool, err := t.delegate(f.Owner)
	if err != nil || e.Prefix != f.Prefix {
		return "", err
	}
	if t.child(name).of(pool)[e.Prefix] == nil {
		t.give(t.child(name), pool, e)
	}
	t.todo.given.add(of{name, pool})
	return fmt.Sprintf("%s is told that it has %s", name, e.Prefix), nil
}

// reallocate gives an owner again what it was told that it has, or if that is somebody else's by now, something else.
func (t *Tier) reallocate(ctx context.Context, f Finding) (what string, err error) {
	c := t.claims[f.Owner]
	if c == nil || c.entry.Prefix != f.Prefix {
		return "", nil
	}
	request := ledger.Request{Owner: c.Owner, Pool: f.Pool, Prefix: f.Prefix, Tenant: c.Tenant, Note: c.note()}
	switch e, err := t.cfg.Ledger.Allocate(ctx, request); {
	case err == nil:
		c.entry = e
		return fmt.Sprintf("%s allocated to %s again", f.Prefix, f.Owner), nil
	case fatal(ctx, err):
		return "", err
	}
	c.entry = ledger.Entry{}
	t.todo.claims.add(f.Owner)
	return fmt.Sprintf("%s is to get something else: %s cannot be had", f.Owner, f.Prefix), nil
}
