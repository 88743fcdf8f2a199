package etcd

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Watch implements store.Store. etcd never splits a revision between two responses unless asked to fragment them.
func (s *Store) Watch(ctx context.Context, revision int64, began func(), fn func(store.Delta) error) error {
	return s.follow(ctx, s.keys.root, s.keys.roster, revision, began, func(events []*clientv3.Event) error {
		delta, news, err := s.delta(events)
		if err != nil {
			return fmt.Errorf("watching records: %w", err)
		}
		if !news {
			return nil
		}
		return fn(delta)
	})
}

// delta makes one of a response's events; news tells whether they are about records and meta values at all.
func (s *Store) delta(events []*clientv3.Event) (delta store.Delta, news bool, err error) {
	causes, err := s.causes(events)
	if err != nil {
		return store.Delta{}, false, err
	}
	delta.Meta = map[string][]byte{}
	for _, ev := range events {
		kv := ev.Kv
		switch {
		case bytes.HasPrefix(kv.Key, []byte(s.keys.records)):
			change, err := s.change(ev, causes[kv.ModRevision])
			if err != nil {
				return store.Delta{}, false, err
			}
			delta.Changes = append(delta.Changes, change)
		case bytes.HasPrefix(kv.Key, []byte(s.keys.meta)):
			name := string(kv.Key[len(s.keys.meta):])
			delta.Meta[name] = nil
			if ev.Type != mvccpb.Event_DELETE {
				delta.Meta[name] = notNil(kv.Value)
			}
		case string(kv.Key) == s.keys.last:
		case string(kv.Key) == s.keys.epoch:
			return store.Delta{}, false, fmt.Errorf("the store has a new epoch: %w", store.ErrCompacted)
		default:
			continue
		}
		news = true
		delta.Position = store.Position{Epoch: s.epoch.Load(), Revision: kv.ModRevision}
	}
	return delta, news, nil
}

// causes reads why keys went away, by revision.
func (s *Store) causes(events []*clientv3.Event) (map[int64]map[string]record.Cause, error) {
	all := map[int64]map[string]record.Cause{}
	for _, ev := range events {
		if string(ev.Kv.Key) != s.keys.last {
			continue
		}
		causes, err := decodeCauses(ev.Kv.Value)
		if err != nil {
			return nil, fmt.Errorf("etcd key %q at revision %d: %w", ev.Kv.Key, ev.Kv.ModRevision, err)
		}
		all[ev.Kv.ModRevision] = causes
	}
	return all, nil
}

func (s *Store) change(ev *clientv3.Event, causes map[string]record.Cause) (store.Change, error) {
	if ev.Type == mvccpb.Event_DELETE {
		key, err := s.keys.decodeKey(ev.Kv.Key)
		return store.Change{Key: key, Cause: causes[key.String()]}, err
	}
	e, err := s.keys.decodeRecord(ev.Kv)
	if err != nil {
		return store.Change{}, err
	}
	return store.Change{Key: e.Key, New: e}, nil
}
