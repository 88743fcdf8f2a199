package ledger

import (
	"context"
	"errors"
)

// refusal is that a request found no room in memory, which is not the last word on it: its owner may hold what it asks
// for; what is in the way may only be under way, and come to nothing; and it may be in quarantine for the owner itself.
type refusal struct {
	err error
	// look keeps others of the owner away until it is decided; nil where the ledger is lost.
	look *ask
	pool *pool
	// freed is the pool's then, and waits what was under way in it.
	freed uint64
	waits []*ask
}

// refusal is called with mu held.
func (l *Ledger) refusal(r Request, err error) refusal {
	no := refusal{err: err, pool: l.pools[r.Pool]}
	if l.lost() != nil {
		return no
	}
	no.look = newAsk(look)
	no.look.entry.Owner = r.Owner
	l.flying[r.Owner] = no.look
	var taken *Taken
	if no.pool == nil || !errors.Is(err, ErrFull) && !errors.As(err, &taken) {
		return no
	}
	no.freed = no.pool.freed
	for _, a := range l.flying {
		if a.act == take && a.pool == no.pool {
			no.waits = append(no.waits, a)
		}
	}
	return no
}

// doubt decides a refusal: the result, or the ask that was started after all. errAgain: there may be room now.
func (l *Ledger) doubt(ctx context.Context, r Request, no refusal) (*ask, Entry, error) {
	if no.look == nil {
		return nil, Entry{}, no.err
	}
	e, err := l.Get(ctx, r.Owner)
	if errors.Is(err, ErrNotFound) {
		e, err = Entry{}, l.confirm(ctx, no)
	} else {
		e, err = r.answer(e, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken *Taken
	if errors.As(err, &taken) && taken.Owner == r.Owner && taken.By == r.Prefix && !taken.Until.IsZero() && l.lost() == nil {
		a := no.look
		a.act, a.keeps, a.pool, a.held = take, true, no.pool, taken.revision
		l.fly(a, r, r.Prefix)
		l.dispatch()
		return a, Entry{}, nil
	}
	l.finish(no.look, errAgain)
	return nil, e, err
}

// confirm waits for what may be in the way, and then says what is.
func (l *Ledger) confirm(ctx context.Context, no refusal) error {
	for _, a := range no.waits {
		select {
		case <-a.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	freed := no.pool != nil && len(no.waits) > 0 && no.pool.freed != no.freed
	l.mu.Unlock()
	var taken *Taken
	switch {
	case freed:
		return errAgain
	case errors.As(no.err, &taken):
		return l.name(ctx, taken)
	default:
		return no.err
	}
}

// name finds out who has what is in the way. errAgain: nobody any more.
func (l *Ledger) name(ctx context.Context, taken *Taken) error {
	l.mu.Lock()
	var b *block
	if p := l.pools[taken.Pool]; p != nil {
		b = p.at(taken.By)
	}
	reserved := b != nil && b.reserves(taken.By)
	l.mu.Unlock()
	if reserved {
		return taken
	}
	key := l.keys.entry(taken.Pool, taken.By)
	resp, err := l.get(ctx, key)
	if err != nil {
		return err
	}
	if len(resp.Kvs) == 0 {
		return errAgain
	}
	e, err := l.keys.decodeEntry(resp.Kvs[0])
	if err != nil {
		return err
	}
	taken.Owner, taken.Until, taken.revision = e.Owner, e.Until, e.Revision
	return taken
}
