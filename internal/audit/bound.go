package audit

import (
	"sync"

	"golang.org/x/time/rate"
)

// Refusals of one action that are written: so many at once, and so many a second in the long run, which is some hundred
// megabytes a day at most.
const (
	refusalBurst = 1000
	refusalRate  = 10
)

// bounds holds back refusals that come too fast. What was let through or done is never held back: strangers cannot
// cause it.
type bounds struct {
	mu sync.Mutex
	// actions has the bound of each action that was refused; guarded by mu.
	actions map[Action]*bound
}

type bound struct {
	limit      *rate.Limiter
	suppressed int64
}

// pass tells whether the event is to be written, and how many of its action were not since the last one.
func (b *bounds) pass(e Event) (suppressed int64, ok bool) {
	if e.Result != Refused {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.actions[e.Action]
	if of == nil {
		of = &bound{limit: rate.NewLimiter(refusalRate, refusalBurst)}
		b.actions[e.Action] = of
	}
	if !of.limit.Allow() {
		of.suppressed++
		return 0, false
	}
	suppressed, of.suppressed = of.suppressed, 0
	return suppressed, true
}
