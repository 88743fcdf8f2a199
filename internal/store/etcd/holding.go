package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lookAgain parts two looks at who has a key, while etcd does not answer.
const lookAgain = time.Second

// holding is a key that this process put, for as long as the key is on the process's lease: until the lease is lost or
// given up, or another puts or deletes the key.
type holding struct {
	store *Store
	key   string
	lease *lease
	stop  context.CancelFunc
	done  chan struct{}
}

// hold renews the lease of a key that was put until the holding ends. Once Close has begun it takes no hold.
func (s *Store) hold(key string, l *lease) (*holding, error) {
	ctx, stop := context.WithCancel(s.ctx)
	h := &holding{store: s, key: key, lease: l, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		stop()
		return nil, errClosed
	}
	s.holdings[h] = struct{}{}
	if s.renewer.add(l) {
		s.work.Go(func() { s.renewer.run(s.ctx) })
	}
	s.work.Go(func() {
		select {
		case <-l.lost:
		case <-ctx.Done():
		}
		stop()
	})
	s.work.Go(func() {
		h.watch(ctx)
		stop()
		s.renewer.remove(l)
		s.mu.Lock()
		delete(s.holdings, h)
		s.mu.Unlock()
		close(h.done)
	})
	return h, nil
}

// watch returns when ctx has ended or the key is not the holding's any more.
func (h *holding) watch(ctx context.Context) {
	for ctx.Err() == nil {
		linked := h.store.links.begun.next()
		kv, at, err := h.store.look(ctx, h.key)
		switch {
		case err != nil:
			h.store.log.Debug("looking at a key that is held", "error", err)
			pause(ctx, lookAgain)
		case kv == nil || kv.Lease != int64(h.lease.id):
			return
		default:
			_ = h.store.keyChanged(ctx, linked, h.key, at) // the context's end
		}
	}
}

// release ends a holding. The lease takes the key with it, unless another has that. Of a holding that has ended by itself
// nothing is left that etcd would not end by itself.
func (h *holding) release(ctx context.Context) error {
	select {
	case <-h.done:
		return nil
	default:
	}
	h.stop()
	_, err := request(ctx, h.store, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, h.store.revoke(ctx, h.lease)
	})
	select {
	case <-h.done:
	case <-ctx.Done():
	}
	return err
}

// look reads a key, nil where there is none, and tells the revision at which it read.
func (s *Store) look(ctx context.Context, key string) (*mvccpb.KeyValue, int64, error) {
	resp, err := s.get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if len(resp.Kvs) == 0 {
		return nil, resp.Header.Revision, nil
	}
	return resp.Kvs[0], resp.Header.Revision, nil
}

// keyChanged returns when a key may have changed after a revision: also when the watch breaks or another server answers,
// which may have been set back, so its caller looks again. linked is closed by the next connection that begins; it is
// from before the caller looked, or one that began in between would go unnoticed.
func (s *Store) keyChanged(ctx context.Context, linked <-chan struct{}, key string, after int64) error {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	responses := s.client.Watch(wctx, key, clientv3.WithRev(after+1))
	for {
		select {
		case <-linked:
			return ctx.Err()
		case resp, ok := <-responses:
			if !ok || resp.Err() != nil || len(resp.Events) > 0 {
				return ctx.Err()
			}
		}
	}
}
