package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// description is a member's value in etcd; the key has the ID.
type description struct {
	Address string `json:"address"`
	Leaving bool   `json:"leaving,omitempty"`
}

func encodeMember(m store.Member) (string, error) {
	b, err := json.Marshal(description{Address: m.Address, Leaving: m.Leaving})
	return string(b), err
}

func decodeMember(id string, value []byte) (store.Member, error) {
	var d description
	if err := json.Unmarshal(value, &d); err != nil {
		return store.Member{}, fmt.Errorf("description of member %s: %w", id, err)
	}
	return store.Member{ID: id, Address: d.Address, Leaving: d.Leaving}, nil
}

// membership is a member's key, held.
type membership struct {
	*holding
	id string
}

// Join implements store.Registry.
func (s *Store) Join(ctx context.Context, m store.Member) (store.Membership, error) {
	joined, err := s.join(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("joining as %s: %w", m.ID, err)
	}
	return joined, nil
}

func (s *Store) join(ctx context.Context, m store.Member) (*membership, error) {
	value, err := encodeMember(m)
	if err != nil {
		return nil, err
	}
	key := s.keys.members + m.ID
	h, err := s.take(ctx, key, store.MemberLease, func(ctx context.Context, l *lease) (bool, error) {
		// One's own earlier membership is overwritten, which ends it: the key is on another lease.
		_, err := request(ctx, s, func(ctx context.Context) (*clientv3.PutResponse, error) {
			return s.client.Put(ctx, key, value, clientv3.WithLease(l.id))
		})
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	return &membership{holding: h, id: m.ID}, nil
}

// Fresh implements store.Membership.
func (m *membership) Fresh() bool {
	select {
	case <-m.done:
		return false
	default:
		return m.lease.left() > 0
	}
}

// Done implements store.Membership.
func (m *membership) Done() <-chan struct{} { return m.done }

// Update implements store.Membership.
func (m *membership) Update(ctx context.Context, now store.Member) error {
	value, err := encodeMember(now)
	if err != nil {
		return fmt.Errorf("describing %s anew: %w", m.id, err)
	}
	mine := clientv3.Compare(clientv3.LeaseValue(m.key), "=", m.lease.id)
	put := clientv3.OpPut(m.key, value, clientv3.WithLease(m.lease.id))
	resp, err := m.store.txn(ctx, mine, []clientv3.Op{put})
	if errors.Is(err, rpctypes.ErrLeaseNotFound) || err == nil && !resp.Succeeded {
		err = store.ErrEnded
	}
	if err != nil {
		return fmt.Errorf("describing %s anew: %w", m.id, err)
	}
	return nil
}

// Leave implements store.Membership.
func (m *membership) Leave(ctx context.Context) error {
	if err := m.release(ctx); err != nil {
		return fmt.Errorf("leaving as %s: %w", m.id, err)
	}
	return nil
}
