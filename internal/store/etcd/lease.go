package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lease is an etcd lease that a renewer keeps.
type lease struct {
	id  clientv3.LeaseID
	ttl time.Duration
	// renewed is when the last request that was answered was sent.
	renewed atomic.Pointer[time.Time]
	// lost is closed when etcd says that the lease is gone, or might have ended it.
	lost chan struct{}
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
	l := &lease{id: resp.ID, ttl: ttl, lost: make(chan struct{})}
	l.renewed.Store(&sent)
	return l, nil
}

// left is for how long etcd surely still holds the lease. Go's clock goes on while a process is stopped.
func (l *lease) left() time.Duration { return l.ttl - time.Since(*l.renewed.Load()) }

// take grants a lease, has put hang a key on it, and holds that. A lease that comes to nothing is given up, also while
// the store is closed, which waits for it; there is no holding then, and no error where put says false without one.
func (s *Store) take(ctx context.Context, key string, ttl time.Duration, put func(context.Context, *lease) (bool, error)) (*holding, error) {
	if !s.begin() {
		return nil, errClosed
	}
	defer s.work.Done()
	l, err := s.grant(ctx, ttl)
	if err != nil {
		return nil, err
	}
	ok, err := put(ctx, l)
	if ok && err == nil {
		var h *holding
		if h, err = s.hold(key, l); err == nil {
			return h, nil
		}
	}
	s.discard(l)
	return nil, err
}

// begin makes Close wait until work.Done. It returns false where Close has begun.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.work.Add(1)
	return true
}

// revoke ends a lease and whatever hangs on it.
func (s *Store) revoke(ctx context.Context, l *lease) error {
	_, err := s.client.Revoke(ctx, l.id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}

// discard gives up a lease that came to nothing, also when the store has ended; one that stays expires.
func (s *Store) discard(l *lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), closeTimeout)
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
