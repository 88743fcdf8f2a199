package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// checkEvery is how often a watch makes sure that etcd still has the history it watches. A server that was set back to
// an older copy keeps silent on a watch from a later revision, progress notifications included.
const checkEvery = 5 * time.Second

// Watch implements store.Store. etcd never splits a revision between two responses unless asked to fragment them.
func (s *Store) Watch(ctx context.Context, revision int64, fn func(store.Delta) error) error {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	responses := s.client.Watch(wctx, s.keys.root, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	seen, epoch := revision, s.epoch.Load()
	for {
		select {
		case <-tick.C:
			if err := s.check(ctx, epoch, seen); err != nil {
				return fmt.Errorf("watching records: %w", err)
			}
		case resp, ok := <-responses:
			if !ok || resp.Err() != nil {
				return fmt.Errorf("watching records after revision %d: %w", seen, ended(ctx, resp))
			}
			seen = max(seen, resp.Header.Revision)
			delta, news, err := s.delta(resp.Events)
			if err != nil {
				return fmt.Errorf("watching records: %w", err)
			}
			if !news {
				continue
			}
			if err := fn(delta); err != nil {
				return err
			}
		}
	}
}

// check returns ErrCompacted where etcd is before a revision that was seen, or in another epoch. That etcd cannot be
// asked is no news: the watch resumes by itself.
func (s *Store) check(ctx context.Context, epoch uint64, seen int64) error {
	pos, at, err := s.position(ctx)
	switch {
	case err != nil:
		s.log.Debug("checking a watch", "error", err)
		return nil
	case at < seen:
		return fmt.Errorf("etcd is at revision %d, was at %d: %w", at, seen, store.ErrCompacted)
	case pos.Epoch != epoch && epoch != 0:
		return fmt.Errorf("etcd has another epoch: %w", store.ErrCompacted)
	}
	return nil
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
