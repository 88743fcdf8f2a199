package children

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/meridian-federation/meridian/internal/feed"
)

// Limits are how much one child may tell, as configuration.
type Limits struct {
	Records int `usage:"how many records are held of one child at most, each counted once for every KiB of it; a child that tells more is cut off"`
	Rate    int `usage:"how many records, counted in the same way, one child may tell in a second for long, after eight seconds' worth at once; what comes faster is read later"`
}

// burst is for how many seconds' worth of records a child that was quiet is read at once.
const burst = 8

// DefaultAgent fills in zero fields for a parent of agents, with room beyond the sizes planned for: the status and the
// locations of 10,000 applications, and 100,000 addresses in chunks.
func (l *Limits) DefaultAgent() { l.fill(1<<16, 1<<12) }

// DefaultTier fills in zero fields for a parent of tiers: the same of all that is called from outside of them.
func (l *Limits) DefaultTier() { l.fill(1<<19, 1<<14) }

func (l *Limits) fill(records, rate int) {
	l.Records, l.Rate = cmp.Or(l.Records, records), cmp.Or(l.Rate, rate)
}

// Validate joins all errors.
func (l Limits) Validate() error {
	var errs []error
	for _, field := range []struct {
		name  string
		value int
	}{{"records", l.Records}, {"rate", l.Rate}} {
		if field.value < 1 {
			errs = append(errs, fmt.Errorf("%s: %d; a number of at least 1 is needed", field.name, field.value))
		}
	}
	return errors.Join(errs...)
}

// Burst is how many records a child that was quiet may tell at once.
func (l Limits) Burst() int { return burst * l.Rate }

// Ledger is what is held of what a child tells, from session to session, within the limits.
func (l Limits) Ledger() *feed.Ledger {
	return feed.NewLedger(feed.State{}, nil).Unguarded().Limited(feed.Limits{Records: l.Records, Rate: float64(l.Rate), Burst: l.Burst()})
}
