package tenure

import (
	"context"
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
)

// refuse tells each claim of the place that the ledger cannot be believed, until it is repaired: that is nil; or ctx ends.
// Nothing that was given is taken back.
func (t *Tenure) refuse(ctx context.Context, term Term, why error, told func()) error {
	select {
	case <-t.repaired: // what was repaired is before what is found now
	default:
	}
	t.cfg.Log.Error("no addresses are allocated until somebody repairs the ledger", "error", why)
	t.setBack.Store(&why)
	t.metrics.SetBack(true)
	defer func() {
		t.setBack.Store(nil)
		t.metrics.SetBack(false)
	}()
	sub := t.cfg.Mirror.Subscribe()
	defer sub.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates := make(chan store.Update)
	ended := make(chan error, 1)
	go func() { ended <- follow(ctx, sub, updates) }()
	for {
		select {
		case u := <-updates:
			t.answer(u, term, why)
			told()
		case <-t.repaired:
			cancel()
			<-ended
			return nil
		case err := <-ended:
			return err
		}
	}
}

// follow hands on what a subscription brings.
func follow(ctx context.Context, sub *store.Subscription, updates chan<- store.Update) error {
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("following the mirror: %w", err)
		}
		select {
		case updates <- u:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer tells of the claims that came, and takes back what was told of those that went.
func (t *Tenure) answer(u store.Update, term Term, why error) {
	for _, c := range u.Changes {
		if region, zone := c.Key.Place(); c.Key.Kind != record.KindClaim || region != t.cfg.Region || zone != t.cfg.Zone {
			continue
		}
		if c.New == nil {
			term.Untell(record.Key{Kind: record.KindAllotment, Name: c.Key.Name}, c.Cause)
			continue
		}
		if v, err := record.DecodeClaim(c.New.Record); err == nil { // intake has refused what cannot be read
			term.Tell(record.Allotment{Owner: v.Owner, Region: v.Region, Zone: v.Zone, Reason: ipam.ReasonStoreSetBack,
				Message: why.Error() + "; `meridian ipam check --repair` accepts it as it is"}.Record())
		}
	}
}
