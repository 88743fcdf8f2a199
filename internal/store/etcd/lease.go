package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// streamPause is how long a lease whose stream of renewals broke waits before it opens another.
const streamPause = 200 * time.Millisecond

var errExpired = errors.New("the lease has expired")

// lease is an etcd lease that keep renews, one request at a time: so that it is known when the request was sent that an
// answer belongs to. The client's own KeepAlive would take an answer that waited while the process was stopped for a
// fresh one, and wakes twice a second.
type lease struct {
	id  clientv3.LeaseID
	ttl time.Duration
	// renewed is when the last request that was answered was sent.
	renewed atomic.Pointer[time.Time]
}

// grant takes a lease.
func (s *Store) grant(ctx context.Context, ttl time.Duration) (*lease, error) {
	sent := time.Now()
	resp, err := request(ctx, s, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return s.client.Grant(ctx, int64(ttl/time.Second))
	})
	if err != nil {
		return nil, fmt.Errorf("taking a lease: %w", err)
	}
	l := &lease{id: resp.ID, ttl: ttl}
	l.renewed.Store(&sent)
	return l, nil
}

// left is for how long etcd surely still holds the lease. Go's clock goes on while a process is stopped.
func (l *lease) left() time.Duration { return l.ttl - time.Since(*l.renewed.Load()) }

// keep renews a lease until it is lost or ctx ends.
func (s *Store) keep(ctx context.Context, l *lease) {
	for l.left() > 0 {
		err := l.renew(ctx, s.leases)
		if ctx.Err() != nil || errors.Is(err, errExpired) {
			return
		}
		s.log.Debug("renewing a lease", "lease", fmt.Sprintf("%x", l.id), "error", err)
		pause(ctx, min(streamPause, l.left()))
	}
}

// renew renews on one stream, three times in a lease's length, for as long as answers come.
func (l *lease) renew(ctx context.Context, leases pb.LeaseClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := time.AfterFunc(l.patience(), cancel)
	defer patience.Stop()
	stream, err := leases.LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	for {
		sent := time.Now()
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(l.id)}); err != nil {
			return err
		}
		resp, err := stream.Recv()
		switch {
		case err != nil:
			return err
		case resp.TTL <= 0:
			return errExpired
		}
		patience.Stop()
		l.renewed.Store(&sent)
		if !pause(ctx, l.ttl/3-time.Since(sent)) {
			return ctx.Err()
		}
		patience.Reset(l.patience())
	}
}

// patience is how long an answer is waited for before a new stream is tried.
func (l *lease) patience() time.Duration { return min(l.ttl/3, l.left()) }

// revoke ends a lease and whatever hangs on it.
func (s *Store) revoke(ctx context.Context, l *lease) error {
	_, err := s.client.Revoke(ctx, l.id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// discard gives up a lease that came to nothing; one that stays expires.
func (s *Store) discard(l *lease) {
	ctx, cancel := context.WithTimeout(s.ctx, closeTimeout)
	defer cancel()
	if err := s.revoke(ctx, l); err != nil {
		s.log.Debug("giving up a lease", "error", err)
	}
}

// pause waits until ctx ends at most, and tells whether that has not.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
