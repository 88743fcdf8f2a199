package ipamgrpc

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// A call waits for the first count of a ledger no longer than countPatience. A page that cannot be read is read again after
// a rest.
const (
	countPatience = time.Second
	rest          = 200 * time.Millisecond
)

// entries are what is counted; a ledger.
type entries interface {
	List(context.Context, ledger.Query) (page []ledger.Entry, next string, err error)
}

// count is how far the first count of a ledger is. Nothing is taken or released for local owners meanwhile.
type count struct {
	replaced chan struct{} // closed when another ledger is open
	ended    chan struct{} // closed when all is counted, or never will be
	all      bool          // all is counted; written before ended is closed
}

func newCount() count { return count{replaced: make(chan struct{}), ended: make(chan struct{})} }

// counted waits until all is counted, for a while.
func (a *account) counted(ctx context.Context) error {
	timer := time.NewTimer(countPatience)
	defer timer.Stop()
	select {
	case <-a.count.ended:
	case <-timer.C:
		return status.Error(codes.Unavailable, "what is held here is still being counted; try again")
	case <-ctx.Done():
		return ctx.Err()
	}
	if !a.count.all {
		return status.Error(codes.Unavailable, "the ledger of addresses was lost; try again")
	}
	return nil
}

// load counts what there is, until ctx or the ledger ends or another one is open. It goes on where it was when etcd did not
// answer.
func (a *account) load(ctx context.Context, from entries, log *slog.Logger) {
	defer close(a.count.ended)
	for q := (ledger.Query{OwnerPrefix: local}); ; {
		page, next, err := from.List(ctx, q)
		switch {
		case ctx.Err() != nil, errors.Is(err, ledger.ErrClosed), errors.Is(err, ledger.ErrDeposed), errors.Is(err, ledger.ErrSetBack):
			return
		case err != nil:
			log.Warn("machines get no addresses until what they hold is counted", "error", err, "again", rest)
			if !a.pause(ctx) {
				return
			}
			continue
		}
		for _, e := range page {
			a.settle(e.Owner, share{a.peerOf(e.Owner), e.Tenant, size(e.Prefix.Addr().Is6(), e.Prefix.Bits())})
		}
		if q.From = next; next == "" {
			a.count.all = true
			return
		}
	}
}

// pause rests; false if there is nothing to go on with.
func (a *account) pause(ctx context.Context) bool {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.count.replaced:
	case <-ctx.Done():
	}
	return false
}
