package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// term is the time during which PREFIX/leader stays as this process put it, on this lease.
type term struct {
	store *Store
	lease clientv3.LeaseID
	rev   int64 // modification revision of PREFIX/leader
	since store.Position
	stop  context.CancelFunc
	done  chan struct{}
}

// Campaign implements store.Store.
func (s *Store) Campaign(ctx context.Context, id string) (store.Term, error) {
	// The store's end ends a campaign too.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for {
		t, err := s.campaign(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("campaigning as %s: %w", id, err)
		}
		if t != nil {
			return t, nil
		}
	}
}

// campaign waits while another leads, then tries once; without term or error, somebody was faster.
func (s *Store) campaign(ctx context.Context, id string) (*term, error) {
	pos, _, err := s.position(ctx)
	if err != nil {
		return nil, err
	}
	held, err := s.await(ctx, id)
	if err != nil {
		return nil, err
	}
	lease, err := request(ctx, s, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return s.client.Grant(ctx, int64(s.ttl/time.Second))
	})
	if err != nil {
		return nil, fmt.Errorf("taking a lease: %w", err)
	}
	// One's own earlier term is overwritten, which ends it: the key's modification revision changes.
	unchanged := clientv3.Compare(clientv3.ModRevision(s.keys.leader), "=", held)
	put := clientv3.OpPut(s.keys.leader, id, clientv3.WithLease(lease.ID))
	resp, err := s.txn(ctx, unchanged, []clientv3.Op{put, clientv3.OpGet(s.keys.last)})
	if err != nil || !resp.Succeeded {
		s.revoke(lease.ID)
		return nil, err
	}
	pos.Revision = modRevision(resp.Responses[1].GetResponseRange().Kvs)
	return s.begin(&term{store: s, lease: lease.ID, rev: resp.Header.Revision, since: pos, done: make(chan struct{})})
}

// await waits until nobody else leads, and returns the modification revision of the leader's key: 0, or that of an
// earlier term of the same id.
func (s *Store) await(ctx context.Context, id string) (int64, error) {
	for {
		kv, at, err := s.leader(ctx)
		if err != nil {
			return 0, err
		}
		if kv == nil {
			return 0, nil
		}
		if string(kv.Value) == id {
			return kv.ModRevision, nil
		}
		if err := s.leaderChanged(ctx, at); err != nil {
			return 0, err
		}
	}
}

// leader reads the leader's key, nil where nobody leads, and the revision at which it read.
func (s *Store) leader(ctx context.Context) (*mvccpb.KeyValue, int64, error) {
	resp, err := s.get(ctx, s.keys.leader)
	if err != nil {
		return nil, 0, fmt.Errorf("reading who leads: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return nil, resp.Header.Revision, nil
	}
	return resp.Kvs[0], resp.Header.Revision, nil
}

// leaderChanged returns when the leader's key may have changed after a revision: also when the watch breaks, so its
// caller looks again.
func (s *Store) leaderChanged(ctx context.Context, after int64) error {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range s.client.Watch(wctx, s.keys.leader, clientv3.WithRev(after+1)) {
		if len(resp.Events) > 0 || resp.Err() != nil {
			break
		}
	}
	return ctx.Err()
}

// begin keeps a term's lease alive until it ends.
func (s *Store) begin(t *term) (*term, error) {
	ctx, stop := context.WithCancel(s.ctx)
	t.stop = stop
	alive, err := s.client.KeepAlive(ctx, t.lease)
	if err != nil {
		stop()
		s.revoke(t.lease)
		return nil, fmt.Errorf("keeping a lease: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		stop()
		return nil, errClosed
	}
	s.terms[t] = struct{}{}
	s.work.Go(func() {
		for range alive { // ends when the lease is lost, at the latest when it would have expired
		}
		stop()
	})
	s.work.Go(func() {
		t.watch(ctx)
		stop()
		s.mu.Lock()
		delete(s.terms, t)
		s.mu.Unlock()
		close(t.done)
	})
	return t, nil
}

// watch returns when the term has ended: ctx has, or the leader's key is no longer the term's.
func (t *term) watch(ctx context.Context) {
	for ctx.Err() == nil {
		kv, at, err := t.store.leader(ctx)
		if err != nil {
			t.store.log.Debug("looking who leads", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		if kv == nil || kv.ModRevision != t.rev {
			return
		}
		if t.store.leaderChanged(ctx, at) != nil {
			return
		}
	}
}

// Done implements store.Term.
func (t *term) Done() <-chan struct{} { return t.done }

// Since implements store.Term.
func (t *term) Since() store.Position { return t.since }

// Resign implements store.Term. The lease takes the leader's key with it, unless another term has that.
func (t *term) Resign(ctx context.Context) error {
	t.stop()
	_, err := t.store.client.Revoke(ctx, t.lease)
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("giving up the lead: %w", err)
	}
	return nil
}

// revoke gives up a lease that came to nothing; one that stays expires.
func (s *Store) revoke(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(s.ctx, closeTimeout)
	defer cancel()
	if _, err := s.client.Revoke(ctx, lease); err != nil {
		s.log.Debug("giving up a lease", "error", err)
	}
}
