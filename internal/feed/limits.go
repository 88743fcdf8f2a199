package feed

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/meridian-federation/meridian/internal/record"
)

// recordUnit is the content of one record as Limits count it, in bytes: a larger one counts as several.
const recordUnit = 1 << 10

// namesUnit is how many keys, in a message that names some, count as one record.
const namesUnit = 16

// Limits are what a holder takes of one peer that it has no reason to trust. A zero field is no limit.
type Limits struct {
	// Records is how many are held of it, each counted once for every KiB of content: so it bounds memory, too.
	Records int
	// Rate is how many it may tell in one second, counted in the same way, after Burst at once. What comes faster is not
	// lost: it is read later.
	Rate  float64
	Burst int
}

// Excess is the error of a session whose peer told more than is held of one.
type Excess struct {
	Told, Limit int
}

func (e *Excess) Error() string {
	return fmt.Sprintf("%d records, counted once for every KiB, are more than the %d that are held of one child", e.Told, e.Limit)
}

// allowance is what a Ledger knows of its limits. It outlives sessions, as the Ledger does.
type allowance struct {
	Limits
	bucket *rate.Limiter // nil is no limit of rate
	// extra are the units beyond one of the records held that have more; sum is their sum.
	extra map[record.Key]int
	sum   int
}

// Limited sets limits. Call it before the first session.
func (l *Ledger) Limited(limits Limits) *Ledger {
	l.allowance = allowance{Limits: limits, extra: map[record.Key]int{}}
	if limits.Rate > 0 {
		l.allowance.bucket = rate.NewLimiter(rate.Limit(limits.Rate), max(limits.Burst, 1))
	}
	return l
}

// delay charges a message against the rate, and returns how long the next must not be read.
func (l *Ledger) delay(m Message, now time.Time) time.Duration {
	bucket := l.allowance.bucket // never changes
	if bucket == nil {
		return 0
	}
	return bucket.ReserveN(now, min(cost(m), bucket.Burst())).DelayFrom(now)
}

// cost is about what a message costs its receiver, in records.
func cost(m Message) int {
	switch m := m.(type) {
	case Batch:
		n := 1 + len(m.Removals)
		for _, r := range m.Puts {
			n += units(r)
		}
		return n
	case Root, Select:
		return batchRecords // what is held has to be looked through
	case Lists:
		n := 1
		for _, l := range m.Lists {
			n += len(l.Keys) / namesUnit
		}
		return n
	case Ack:
		return 1 + (len(m.Rejected)+len(m.Held))/namesUnit
	case Report:
		return 1 + (len(m.Rejected)+len(m.Accepted))/namesUnit
	case Want:
		return 1 + len(m.Keys)
	default:
		return 1
	}
}

func units(r *record.Record) int { return max(1, (len(r.Content)+recordUnit-1)/recordUnit) }

// exceeded tells whether the holder would hold more with a batch than it may, which is an *Excess.
func (l *Ledger) exceeded(b Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.allowance
	if a.Records <= 0 {
		return nil
	}
	told := l.table.size + a.sum
	for _, r := range b.Puts {
		told += units(r) - a.extra[r.Key]
		if _, holds := l.table.get(r.Key); holds {
			told--
		}
	}
	if told > a.Records {
		return &Excess{Told: told, Limit: a.Records}
	}
	return nil
}

// weigh notes, with mu held, how large what is held of a batch is.
func (l *Ledger) weigh(b Batch) {
	a := &l.allowance
	if a.Records <= 0 {
		return
	}
	for _, r := range b.Puts {
		a.note(r.Key, units(r)-1)
	}
	for _, r := range b.Removals {
		a.note(r.Key, 0)
	}
}

func (a *allowance) note(key record.Key, extra int) {
	a.sum += extra - a.extra[key]
	if extra == 0 {
		delete(a.extra, key)
		return
	}
	a.extra[key] = extra
}
