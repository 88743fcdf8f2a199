package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/stats"

	"github.com/meridian-federation/meridian/internal/store"
)

const (
	// checkTimeout and checkAgain bound one look at a server that was connected to, and part two looks.
	checkTimeout = 3 * time.Second
	checkAgain   = time.Second
)

// links tells when a connection to a server of the cluster begins.
type links struct {
	mu    sync.Mutex
	begun chan struct{} // guarded by mu; closed and replaced at each connection; nil until somebody waits
}

func (l *links) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun == nil {
		l.begun = make(chan struct{})
	}
	return l.begun
}

// TagConn implements stats.Handler.
func (*links) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (l *links) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnBegin); !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun != nil {
		close(l.begun)
		l.begun = nil
	}
}

// TagRPC implements stats.Handler.
func (*links) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (*links) HandleRPC(context.Context, stats.RPCStats) {}

// follow calls fn, in order, with the events of the keys in [from, end) after a revision, those of one revision never
// apart, until ctx ends or fn fails, whose error it returns as it is.
//
// A server that was set back to an older copy keeps silent on a watch from a later revision, progress notifications
// included. Servers are set back only while they are down, so each new connection is a reason to look.
func (s *Store) follow(ctx context.Context, from, end string, after int64, fn func([]*clientv3.Event) error) error {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	epoch, seen := s.epoch.Load(), after
	linked := s.links.next()
	if err := s.check(ctx, epoch, seen); errors.Is(err, store.ErrCompacted) {
		return fmt.Errorf("watching after revision %d: %w", seen, err)
	}
	responses := s.client.Watch(wctx, from, clientv3.WithRange(end), clientv3.WithRev(after+1))
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case <-linked:
			linked = s.links.next()
			again.Reset(0)
		case <-again.C:
			err := s.check(ctx, epoch, seen)
			if errors.Is(err, store.ErrCompacted) {
				return fmt.Errorf("watching after revision %d: %w", seen, err)
			}
			if err != nil {
				s.log.Debug("checking a watch", "error", err)
				again.Reset(checkAgain)
			}
		case resp, ok := <-responses:
			if !ok || resp.Err() != nil {
				return fmt.Errorf("watching after revision %d: %w", seen, ended(ctx, resp))
			}
			seen = max(seen, resp.Header.Revision)
			if err := fn(resp.Events); err != nil {
				return err
			}
		}
	}
}

// check returns ErrCompacted where etcd is before a revision that was seen, or in another epoch.
func (s *Store) check(ctx context.Context, epoch uint64, seen int64) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	resp, err := s.get(ctx, s.keys.epoch)
	if err != nil {
		return err
	}
	if at := resp.Header.Revision; at < seen {
		return fmt.Errorf("etcd is at revision %d, was at %d: %w", at, seen, store.ErrCompacted)
	}
	if epoch == 0 {
		return nil // nothing was read of any epoch
	}
	if len(resp.Kvs) > 0 {
		now, err := decodeEpoch(resp.Kvs[0])
		if err != nil || now == epoch {
			return err
		}
	}
	return fmt.Errorf("etcd has another epoch: %w", store.ErrCompacted)
}

// ended says why there are no more responses.
func ended(ctx context.Context, resp clientv3.WatchResponse) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case resp.CompactRevision != 0:
		return fmt.Errorf("%w: %w", store.ErrCompacted, resp.Err())
	case resp.Err() != nil:
		return resp.Err()
	default:
		return errors.New("etcd's client was closed")
	}
}
