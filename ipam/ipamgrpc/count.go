package ipamgrpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// A call waits for the first count of a term no longer than countPatience, and a page that cannot be read is read again after
// a rest.
const (
	countPatience = time.Second
	rest          = 200 * time.Millisecond
)

// entries are what is counted; a ledger.
type entries interface {
	List(context.Context, ledger.Query) (page []ledger.Entry, next string, err error)
}

// count is the first count of a ledger, which nobody takes from or releases to meanwhile.
type count struct {
	ended chan struct{} // closed when all is counted, or never will be

	mu  sync.Mutex
	err error // guarded by mu: why all is not counted as yet
}

func newCount() count { return count{ended: make(chan struct{}), err: errors.New("it has just begun")} }

func (c *count) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *count) missing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// counted waits until all is counted, for a while.
func (a *account) counted(ctx context.Context) error {
	timer := time.NewTimer(countPatience)
	defer timer.Stop()
	select {
	case <-a.count.ended:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.count.missing(); err != nil {
		return status.Errorf(codes.Unavailable, "what is held is still being counted; try again: %v", err)
	}
	return nil
}

// load counts what there is, until ctx or the ledger ends. It goes on where it was when etcd did not answer.
func (a *account) load(ctx context.Context, from entries) {
	defer close(a.count.ended)
	for q := (ledger.Query{OwnerPrefix: local}); ; {
		page, next, err := from.List(ctx, q)
		switch {
		case ctx.Err() != nil, errors.Is(err, ledger.ErrClosed), errors.Is(err, ledger.ErrDeposed), errors.Is(err, ledger.ErrSetBack):
			a.count.set(errors.Join(err, ctx.Err()))
			return
		case err != nil:
			a.count.set(err)
			pause(ctx)
			continue
		}
		for _, e := range page {
			a.settle(e.Owner, share{peerOf(a.place, e.Owner), e.Tenant, size(e.Prefix.Addr().Is6(), e.Prefix.Bits())})
		}
		if q.From = next; next == "" {
			a.count.set(nil)
			return
		}
	}
}

func pause(ctx context.Context) {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
