package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// term is the time during which the leader's key stays as this process put it.
type term struct {
	*holding
	rev   int64 // modification revision of the leader's key
	since store.Position
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
	var resp *clientv3.TxnResponse
	h, err := s.take(ctx, s.keys.leader, s.ttl, func(ctx context.Context, l *lease) (bool, error) {
		// One's own earlier term is overwritten, which ends it: the key is on another lease.
		unchanged := clientv3.Compare(clientv3.ModRevision(s.keys.leader), "=", held)
		put := clientv3.OpPut(s.keys.leader, id, clientv3.WithLease(l.id))
		var err error
		resp, err = s.txn(ctx, unchanged, []clientv3.Op{put, clientv3.OpGet(s.keys.last)})
		return err == nil && resp.Succeeded, err
	})
	if h == nil {
		return nil, err
	}
	pos.Revision = modRevision(resp.Responses[1].GetResponseRange().Kvs)
	return &term{holding: h, rev: resp.Header.Revision, since: pos}, nil
}

// await waits until nobody else leads, and returns the modification revision of the leader's key: 0, or that of an
// earlier term of the same id.
func (s *Store) await(ctx context.Context, id string) (int64, error) {
	for {
		linked := s.links.begun.next()
		kv, at, err := s.look(ctx, s.keys.leader)
		if err != nil {
			return 0, fmt.Errorf("reading who leads: %w", err)
		}
		if kv == nil {
			return 0, nil
		}
		if string(kv.Value) == id {
			return kv.ModRevision, nil
		}
		if err := s.keyChanged(ctx, linked, s.keys.leader, at); err != nil {
			return 0, err
		}
	}
}

// Done implements store.Term.
func (t *term) Done() <-chan struct{} { return t.done }

// Since implements store.Term.
func (t *term) Since() store.Position { return t.since }

// Resign implements store.Term.
func (t *term) Resign(ctx context.Context) error {
	if err := t.release(ctx); err != nil {
		return fmt.Errorf("giving up the lead: %w", err)
	}
	return nil
}
