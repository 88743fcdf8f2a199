package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/meridian-federation/meridian/ipam/space"
)

// errBusy: something of the owner's is under way.
var errBusy = errors.New("the owner has something under way")

// Check refuses what no ledger could ever meet.
func (r Request) Check() error {
	if err := errors.Join(checkOwner(r.Owner), checkPool(r.Pool)); err != nil {
		return err
	}
	if r.Prefix.IsValid() {
		if err := space.Check(r.Prefix); err != nil {
			return fmt.Errorf("%w: prefix: %w", ErrInvalid, err)
		}
		if r.Length != 0 && r.Length != r.Prefix.Bits() {
			return fmt.Errorf("%w: length %d: the prefix %s has another; want one of the two", ErrInvalid, r.Length, r.Prefix)
		}
	} else if r.Length < 1 || r.Length > 128 {
		return fmt.Errorf("%w: length %d: want 1 to 32, or of IPv6 1 to 128", ErrInvalid, r.Length)
	}
	if len(r.Tenant) > 253 || len(r.Note) > 1024 {
		return fmt.Errorf("%w: tenant or note: want at most 253 and 1,024 bytes", ErrInvalid)
	}
	return nil
}

// meets tells whether an entry is what a request asks for.
func (r Request) meets(e Entry) bool {
	if r.Pool != e.Pool {
		return false
	}
	if r.Prefix.IsValid() {
		return r.Prefix == e.Prefix
	}
	return r.Length == e.Prefix.Bits()
}

// Allocate gives an owner a prefix, or what it holds already where that is what it asks for; otherwise the error is a
// *Conflict. Others are a *Full or a *Closed (both ErrFull), a *Taken, ErrUnknownPool, ErrInvalid, ErrDeposed, ErrSetBack,
// ErrClosed. After ErrUnknown ask again, or Release.
func (l *Ledger) Allocate(ctx context.Context, r Request) (Entry, error) {
	result := l.AllocateBatch(ctx, []Request{r})[0]
	return result.Entry, result.Err
}

// AllocateBatch is Allocate for several owners at once, each with its own result.
func (l *Ledger) AllocateBatch(ctx context.Context, rs []Request) []Result {
	out, asks := make([]Result, len(rs)), make([]*ask, len(rs))
	for i, r := range rs {
		out[i].Err = r.Check()
	}
	l.mu.Lock()
	for i, r := range rs {
		if out[i].Err == nil {
			asks[i], _ = l.start(r) // what cannot be started at once is tried below
		}
	}
	l.dispatch()
	l.mu.Unlock()
	for i, r := range rs {
		if out[i].Err == nil {
			out[i].Entry, out[i].Err = l.allocate(ctx, r, asks[i])
		}
		if out[i].Err != nil {
			out[i].Err = fmt.Errorf("allocating for %s: %w", r.Owner, out[i].Err)
		}
	}
	return out
}

// start places a request and queues it; whoever calls it dispatches. It is called with mu held.
func (l *Ledger) start(r Request) (*ask, error) {
	p := l.pools[r.Pool]
	switch {
	case l.lost() != nil:
		return nil, l.lost()
	case l.flying[r.Owner] != nil:
		return nil, errBusy
	case p == nil || len(p.blocks) == 0:
		return nil, fmt.Errorf("pool %s: %w", r.Pool, ErrUnknownPool)
	case r.Length > 32 && !p.ipv6:
		return nil, fmt.Errorf("%w: length %d: pool %s is of IPv4; want 1 to 32", ErrInvalid, r.Length, p.name)
	case r.Prefix.IsValid() && r.Prefix.Addr().Is6() != p.ipv6:
		return nil, fmt.Errorf("%w: prefix %s is not of the family of pool %s", ErrInvalid, r.Prefix, p.name)
	}
	prefix, err := p.place(r)
	if err != nil {
		return nil, err
	}
	a := newAsk(take)
	a.pool = p
	l.fly(a, r, prefix)
	return a, nil
}

// fly queues a take of a prefix; whoever calls it dispatches. It is called with mu held.
func (l *Ledger) fly(a *ask, r Request, prefix netip.Prefix) {
	a.request = r
	a.entry = Entry{Owner: r.Owner, Pool: r.Pool, Prefix: prefix, Tenant: r.Tenant, Note: r.Note, Since: l.clock()}
	l.flying[r.Owner] = a
	l.queue = append(l.queue, a)
}

// clock is the time as entries keep it.
func (l *Ledger) clock() time.Time { return moment(millis(l.now())) }

// allocate sees a request to its end; a is what was started of it, if anything.
func (l *Ledger) allocate(ctx context.Context, r Request, a *ask) (Entry, error) {
	for {
		if a == nil {
			var e Entry
			var err error
			if a, e, err = l.begin(ctx, r); a == nil {
				return e, err
			}
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return Entry{}, unknown(ctx.Err())
		}
		switch {
		case a.err == nil:
			return a.entry, nil
		case errors.Is(a.err, errHolds):
			if e, err := l.Get(ctx, r.Owner); !errors.Is(err, ErrNotFound) {
				return r.answer(e, err)
			}
		case !errors.Is(a.err, errAgain):
			return Entry{}, a.err
		}
		a = nil
	}
}

// answer is what somebody gets who asks and holds something.
func (r Request) answer(holds Entry, err error) (Entry, error) {
	switch {
	case err != nil:
		return Entry{}, err
	case !r.meets(holds):
		return Entry{}, &Conflict{Asked: r, Holds: holds}
	default:
		return holds, nil
	}
}

// begin starts a request as soon as the owner has nothing else under way. Without an ask it is the result.
func (l *Ledger) begin(ctx context.Context, r Request) (*ask, Entry, error) {
	for {
		l.mu.Lock()
		busy := l.flying[r.Owner]
		a, err := l.start(r)
		l.dispatch()
		var no refusal
		if err != nil && busy == nil {
			no = l.refusal(r, err)
		}
		l.mu.Unlock()
		if err == nil {
			return a, Entry{}, nil
		}
		if busy == nil {
			a, e, err := l.doubt(ctx, r, no)
			if !errors.Is(err, errAgain) {
				return a, e, err
			}
			continue
		}
		select {
		case <-busy.done:
		case <-ctx.Done():
			return nil, Entry{}, ctx.Err()
		}
		if busy.act == take && busy.err == nil && busy.request == r {
			return nil, busy.entry, nil
		}
	}
}
