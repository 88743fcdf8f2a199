package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// checkTimeout bounds one look at whether etcd answers.
const checkTimeout = 3 * time.Second

// follow calls fn, in order, with the events of the keys in [from, end) after a revision, those of one revision never
// apart, until ctx ends or fn fails, whose error it returns as it is.
//
// It calls began once etcd has answered, and returns when etcd does not any more: the client by itself would go on trying,
// and nobody would know. A server that was set back to an older copy keeps silent on a watch from a later revision,
// progress notifications included. Servers are set back, as they go away, only while no connection lasts, so each that
// begins or ends is a reason to look.
func (s *Store) follow(ctx context.Context, from, end string, after int64, began func(), fn func([]*clientv3.Event) error) error {
	var opening sync.WaitGroup
	defer opening.Wait()
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	epoch, seen := s.epoch.Load(), after
	linked := s.links.changed.next()
	if err := s.check(ctx, epoch, seen); err != nil {
		return fmt.Errorf("watching after revision %d: %w", seen, err)
	}
	began()
	opened := make(chan clientv3.WatchChan, 1)
	opening.Go(func() { // it blocks until etcd has answered
		opened <- s.client.Watch(wctx, from, clientv3.WithRange(end), clientv3.WithRev(after+1))
	})
	var responses clientv3.WatchChan // nil until it is opened
	for {
		select {
		case responses = <-opened:
		case <-linked:
			linked = s.links.changed.next()
			if err := s.check(ctx, epoch, seen); err != nil {
				return fmt.Errorf("watching after revision %d: %w", seen, err)
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

// check fails where etcd does not answer, and with ErrCompacted where it is before a revision that was seen or in
// another epoch.
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
