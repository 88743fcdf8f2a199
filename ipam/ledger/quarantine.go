package ledger

import (
	"container/heap"
	"context"
	"net/netip"
	"time"
)

// quarantine is an entry that was released.
type quarantine struct {
	until    int64 // in milliseconds since 1970
	pool     *pool
	prefix   netip.Prefix
	revision int64 // at which its entry was written
}

// resting is a heap of quarantines; the one that ends first is first.
type resting []quarantine

func (r resting) Len() int           { return len(r) }
func (r resting) Less(i, j int) bool { return r[i].until < r[j].until }
func (r resting) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *resting) Push(x any) { *r = append(*r, x.(quarantine)) }

// Pop implements heap.Interface.
func (r *resting) Pop() any {
	last := len(*r) - 1
	q := (*r)[last]
	*r = (*r)[:last]
	return q
}

// rest begins a quarantine. It is called with mu held.
func (l *Ledger) rest(q quarantine) {
	if b := q.pool.at(q.prefix); b != nil && b.knows(q.prefix) {
		b.resting += size(q.prefix)
	}
	l.push(q)
}

// push is called with mu held.
func (l *Ledger) push(q quarantine) {
	heap.Push(&l.resting, q)
	if l.resting[0] == q {
		select {
		case l.rouse <- struct{}{}:
		default:
		}
	}
}

// sweepAgain puts back a quarantine that could not be ended, unless its entry is another by now, which its owner took
// back. It is called with mu held.
func (l *Ledger) sweepAgain(a *ask) {
	if a.err != errAgain {
		retry := l.now().Add(lastPause)
		l.push(quarantine{millis(retry), a.pool, a.entry.Prefix, a.held})
	}
}

// due takes from the heap what has ended, as much as one transaction may have, and how long it is until the next: 0 where
// that has ended, too, negative where there is none.
func (l *Ledger) due() (asks []*ask, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := millis(l.now())
	for len(l.resting) > 0 && l.resting[0].until <= now && len(asks) < l.batch && l.lost() == nil {
		q := heap.Pop(&l.resting).(quarantine)
		a := newAsk(sweep)
		a.pool, a.held = q.pool, q.revision
		a.entry = Entry{Pool: q.pool.name, Prefix: q.prefix}
		l.flying[a.flight()] = a
		asks = append(asks, a)
	}
	l.enqueue(asks...)
	if len(l.resting) == 0 {
		return asks, -1
	}
	return asks, time.Duration(max(0, l.resting[0].until-now)) * time.Millisecond
}

// sweep ends quarantines at their time, until the ledger ends or ctx does.
func (l *Ledger) sweep(ctx context.Context) error {
	for {
		asks, next := l.due()
		for _, a := range asks {
			<-a.done // it ends with the ledger at the latest
		}
		if err := l.slumber(ctx, next); err != nil {
			return err
		}
	}
}

// slumber waits for a time, for ever where that is negative, or until it may be another.
func (l *Ledger) slumber(ctx context.Context, d time.Duration) error {
	var due <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-l.rouse:
	case <-l.ctx.Done():
		return l.lost()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
