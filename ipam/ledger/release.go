package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Release ends what an owner holds. The entry returned says until when it is in quarantine. Of an owner that holds nothing
// the error is ErrNotFound. After ErrUnknown release again.
func (l *Ledger) Release(ctx context.Context, owner string) (Entry, error) {
	for {
		e, err := l.release(ctx, owner)
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			return Entry{}, fmt.Errorf("releasing what %s holds: %w", owner, err)
		}
		return e, nil
	}
}

func (l *Ledger) release(ctx context.Context, owner string) (Entry, error) {
	if err := checkOwner(owner); err != nil {
		return Entry{}, err
	}
	a, err := l.reserve(ctx, owner)
	if err != nil {
		return Entry{}, err
	}
	e, err := l.Get(ctx, owner)
	l.mu.Lock()
	if err == nil {
		err = l.lost()
	}
	if err != nil {
		l.finish(a, err)
		l.mu.Unlock()
		return Entry{}, err
	}
	a.act, a.pool, a.owner, a.held = leave, l.pool(e.Pool, e.Prefix), e.Revision, e.Revision
	a.entry = e
	a.entry.Until = l.until(a)
	l.enqueue(a)
	l.mu.Unlock()
	select {
	case <-a.done:
		return a.entry, a.err
	case <-ctx.Done():
		return Entry{}, unknown(ctx.Err())
	}
}

// reserve waits until nothing of an owner's is under way, and keeps others away.
func (l *Ledger) reserve(ctx context.Context, owner string) (*ask, error) {
	a := newAsk(look)
	a.entry.Owner = owner
	for {
		l.mu.Lock()
		if err := l.lost(); err != nil {
			l.mu.Unlock()
			return nil, err
		}
		busy := l.flying[owner]
		if busy == nil {
			l.flying[owner] = a
		}
		l.mu.Unlock()
		if busy == nil {
			return a, nil
		}
		select {
		case <-busy.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// until is the end of a quarantine that begins now; none where its block has none. It is called with mu held.
func (l *Ledger) until(a *ask) time.Time {
	b := a.block()
	if b == nil || b.quarantine == 0 {
		return time.Time{}
	}
	return moment(millis(l.now().Add(b.quarantine)))
}
