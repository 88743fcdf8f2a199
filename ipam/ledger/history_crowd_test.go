package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// settleWithin bounds the comparison and the release of everything.
const settleWithin = 10 * time.Minute

// crowdWorker has owners of its own, so that it knows what each has.
type crowdWorker struct {
	*crowd
	id   int
	r    *rand.Rand
	has  map[string]ledger.Entry
	free []string // owners that have nothing
	born int      // how many there are
	// doubtful are owners for whom there was no room after a request whose outcome is not known: it may arrive late.
	doubtful []string
}

func (w *crowdWorker) work() {
	for w.answered.Load() < w.operations && !w.t.Failed() {
		if n := len(w.has); n == 0 || n < crowdOwners && w.r.IntN(2) == 0 {
			w.allocate()
			continue
		}
		for owner := range w.has {
			w.release(owner)
			break
		}
	}
}

// allocate asks for one owner or for several, until the answer is certain.
func (w *crowdWorker) allocate() {
	n := 1
	if w.r.IntN(4) == 0 {
		n += w.r.IntN(min(8, crowdOwners-len(w.has)))
	}
	open := make([]ledger.Request, n)
	for i := range open {
		pool := w.r.IntN(crowdPools)
		length := crowdBlocks(pool)[0].Addr().BitLen() - max(0, w.r.IntN(12)-9)
		open[i] = ledger.Request{Owner: w.owner(), Pool: crowdPool(pool).Name, Length: length}
	}
	for doubt := map[string]bool{}; len(open) > 0 && !w.t.Failed(); {
		open = w.ask(open, doubt)
	}
}

func (w *crowdWorker) owner() string {
	if n := len(w.free); n > 0 {
		owner := w.free[n-1]
		w.free = w.free[:n-1]
		return owner
	}
	w.born++
	return fmt.Sprintf("local/%d/%d", w.id, w.born)
}

// ask returns the requests that are to be made again, and notes those of which it is not known whether they were met.
func (w *crowdWorker) ask(requests []ledger.Request, doubt map[string]bool) (open []ledger.Request) {
	of, ctx, cancel := w.turn()
	defer cancel()
	for i, result := range of.AllocateBatch(ctx, requests) {
		r := requests[i]
		switch {
		case result.Err == nil:
			w.take(r, result.Entry)
		case errors.Is(result.Err, ledger.ErrFull) && doubt[r.Owner]:
			w.doubtful = append(w.doubtful, r.Owner)
		case errors.Is(result.Err, ledger.ErrFull):
			w.free = append(w.free, r.Owner)
		default:
			of.heard(result.Err)
			doubt[r.Owner] = doubt[r.Owner] || !errors.Is(result.Err, ledger.ErrDeposed)
			open = append(open, r)
			continue
		}
		w.answered.Add(1)
	}
	return open
}

// turn is whom to ask, mostly the term that leads, and for how long.
func (w *crowdWorker) turn() (*term, context.Context, context.CancelFunc) {
	w.attempt(w.r)
	of, before := w.latest()
	if of.over() {
		w.replace(of)
		of, before = w.latest()
	}
	if before != nil && w.r.IntN(8) == 0 {
		of = before
	}
	ctx, cancel := context.WithTimeout(of.life, crowdPatience)
	return of, ctx, cancel
}

// take notes that the owner has it, which nobody else may.
func (w *crowdWorker) take(r ledger.Request, e ledger.Entry) {
	if e.Owner != r.Owner || e.Pool != r.Pool || e.Prefix.Bits() != r.Length {
		w.t.Errorf("%+v got %+v", r, e)
		return
	}
	w.has[r.Owner] = e
	w.hold(e, 0, int32(w.id)+1)
}

// hold changes the holder of all addresses of an entry.
func (w *crowdWorker) hold(e ledger.Entry, from, to int32) {
	pool := e.Pool[len(e.Pool)-1] - '0'
	b := e.Prefix.Addr().AsSlice()
	first := int(b[len(b)-2])<<8 | int(b[len(b)-1])
	for i := range 1 << (e.Prefix.Addr().BitLen() - e.Prefix.Bits()) {
		if !w.holders[pool][first+i].CompareAndSwap(from, to) {
			w.t.Errorf("%s of %s was given to %s while worker %d had address %d of it", e.Prefix, e.Pool, e.Owner, w.holders[pool][first+i].Load()-1, i)
		}
	}
}

// release gives up what an owner has: nobody can have it before, and others may as soon as it is asked for.
func (w *crowdWorker) release(owner string) {
	w.hold(w.has[owner], int32(w.id)+1, 0)
	for doubtful := false; !w.t.Failed(); doubtful = true {
		of, ctx, cancel := w.turn()
		e, err := of.Release(ctx, owner)
		cancel()
		of.heard(err)
		switch {
		case err == nil && e.Prefix != w.has[owner].Prefix:
			w.t.Errorf("%s released %s, and had %s", owner, e.Prefix, w.has[owner].Prefix)
		case errors.Is(err, ledger.ErrNotFound) && !doubtful:
			w.t.Errorf("%s had %s, and the ledger knows nothing of it", owner, w.has[owner].Prefix)
		case err != nil && !errors.Is(err, ledger.ErrNotFound):
			continue
		}
		break
	}
	delete(w.has, owner)
	w.free = append(w.free, owner)
	w.answered.Add(1)
}

// settle holds what the last ledger has against what the workers were told, and releases all of it.
func (c *crowd) settle(everybody []*crowdWorker) {
	leads, before := c.latest()
	leads.link.heal()
	if before != nil {
		before.link.heal()
	}
	last := c.succeed(0)
	if last == nil {
		return
	}
	ctx, cancel := context.WithTimeout(last.life, settleWithin)
	defer cancel()
	c.every = math.MaxInt64 // nothing goes wrong any more
	for _, w := range everybody {
		for _, owner := range w.doubtful {
			if _, err := last.Release(ctx, owner); err != nil && !errors.Is(err, ledger.ErrNotFound) {
				c.t.Errorf("releasing what was in doubt: %v", err)
			}
		}
	}
	c.compare(ctx, last, everybody)
	c.sound(ctx, last)
	var workers sync.WaitGroup
	for _, w := range everybody {
		workers.Go(func() {
			for owner := range w.has {
				w.release(owner)
			}
		})
	}
	workers.Wait()
	if !c.t.Failed() { // the workers give up when anything is wrong
		c.idle(ctx, last)
		c.sound(ctx, last)
	}
}

// compare reads the whole ledger.
func (c *crowd) compare(ctx context.Context, last *term, everybody []*crowdWorker) {
	told := map[string]ledger.Entry{}
	for _, w := range everybody {
		for owner, e := range w.has {
			told[owner] = e
		}
	}
	c.t.Logf("%d entries are held in the end", len(told))
	var q ledger.Query
	for {
		entries, next, err := last.List(ctx, q)
		if err != nil {
			c.t.Errorf("listing: %v", err)
			return
		}
		for _, e := range entries {
			if got := told[e.Owner]; e.Until.IsZero() && got.Prefix != e.Prefix {
				c.t.Errorf("the ledger has %s for %s, which was told of %v", e.Prefix, e.Owner, got.Prefix)
			}
			if e.Until.IsZero() {
				delete(told, e.Owner)
			}
		}
		if q.From = next; next == "" {
			break
		}
	}
	for owner, e := range told {
		c.t.Errorf("%s was told of %s, which the ledger does not have", owner, e.Prefix)
	}
}

// sound has the ledger look at itself.
func (c *crowd) sound(ctx context.Context, last *term) {
	report, err := last.Audit(ctx)
	if err != nil || len(report.Findings) > 0 {
		c.t.Errorf("the audit says %+v, %v; want nothing found", report, err)
	}
}

// idle waits until no block has anything taken.
func (c *crowd) idle(ctx context.Context, last *term) {
	for pool := range crowdPools {
		for {
			changed := last.Changed()
			usage, idle := last.Usage(crowdPool(pool).Name), true
			for _, b := range usage.Blocks {
				idle = idle && b.Idle && b.Largest == b.Prefix.Bits()
			}
			if idle && len(usage.Blocks) == len(crowdBlocks(pool)) {
				break
			}
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				c.t.Errorf("all was released, and still %+v is not free", usage)
				return
			}
		}
	}
}
