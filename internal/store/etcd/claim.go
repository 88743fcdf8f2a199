package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// Claim implements store.Registry.
func (s *Store) Claim(ctx context.Context, name, owner string, prev int64) (store.Claim, error) {
	key := s.keys.claims + name
	same := clientv3.Compare(clientv3.ModRevision(key), "=", prev)
	resp, err := s.txn(ctx, same, []clientv3.Op{clientv3.OpPut(key, owner)})
	if err != nil {
		return store.Claim{}, fmt.Errorf("claiming %s: %w", name, err)
	}
	if !resp.Succeeded {
		return store.Claim{}, fmt.Errorf("claiming %s: %w", name, store.ErrClaimed)
	}
	return store.Claim{Name: name, Owner: owner, Fence: resp.Header.Revision}, nil
}

// Depose implements store.Registry. Every Commit compares the leader's key, so that its absence ends the term.
func (s *Store) Depose(ctx context.Context, id string) error {
	leads := clientv3.Compare(clientv3.Value(s.keys.leader), "=", id)
	if _, err := s.txn(ctx, leads, []clientv3.Op{clientv3.OpDelete(s.keys.leader)}); err != nil {
		return fmt.Errorf("deposing %s: %w", id, err)
	}
	return nil
}
