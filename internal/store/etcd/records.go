package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/store"
)

// pageSize is how many keys Load asks for at once. etcd counts all the keys that remain for each page, which speaks
// for large pages; a page is in memory twice for a moment, which speaks for small ones.
const pageSize = 5000

// Load implements store.Store.
func (s *Store) Load(ctx context.Context) (*store.State, error) {
	for {
		state, err := s.load(ctx)
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // others wrote so much meanwhile that the revision is gone
		}
		if err != nil {
			return nil, fmt.Errorf("loading records: %w", err)
		}
		return state, nil
	}
}

func (s *Store) load(ctx context.Context) (*store.State, error) {
	pos, at, err := s.position(ctx)
	if err != nil {
		return nil, err
	}
	state := &store.State{Position: pos, ReadAt: at, Meta: map[string][]byte{}}
	err = s.pages(ctx, s.keys.records, at, func(kv *mvccpb.KeyValue) error {
		e, err := s.keys.decodeRecord(kv)
		state.Entries = append(state.Entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.pages(ctx, s.keys.meta, at, func(kv *mvccpb.KeyValue) error {
		state.Meta[string(kv.Key[len(s.keys.meta):])] = notNil(kv.Value)
		return nil
	})
	return state, err
}

// position reads the store's position, giving the store an epoch if it has none, and the revision at which it read.
// Whoever only reads must not ask for a write, even one that would not happen: an etcd that is full refuses that.
func (s *Store) position(ctx context.Context) (store.Position, int64, error) {
	get, last := clientv3.OpGet(s.keys.epoch), clientv3.OpGet(s.keys.last)
	isNew := clientv3.Compare(clientv3.CreateRevision(s.keys.epoch), "=", 0)
	resp, err := s.txn(ctx, isNew, nil, get, last)
	if err == nil && resp.Succeeded {
		put := clientv3.OpPut(s.keys.epoch, encodeEpoch(rand.Uint64()|1)) // never zero
		resp, err = s.txn(ctx, isNew, []clientv3.Op{put, get, last}, get, last)
	}
	if err != nil {
		return store.Position{}, 0, fmt.Errorf("reading the epoch: %w", err)
	}
	answers := resp.Responses[len(resp.Responses)-2:]
	epoch, err := decodeEpoch(answers[0].GetResponseRange().Kvs[0])
	if err != nil {
		return store.Position{}, 0, err
	}
	s.epoch.Store(epoch)
	pos := store.Position{Epoch: epoch, Revision: modRevision(answers[1].GetResponseRange().Kvs)}
	return pos, resp.Header.Revision, nil
}

// pages reads all keys under a prefix as they were at a revision.
func (s *Store) pages(ctx context.Context, prefix string, at int64, fn func(*mvccpb.KeyValue) error) error {
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		resp, err := s.get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(at), clientv3.WithLimit(pageSize))
		if err != nil {
			return fmt.Errorf("reading %s at revision %d: %w", prefix, at, err)
		}
		for _, kv := range resp.Kvs {
			if err := fn(kv); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, t store.Term, batch store.Batch) (store.Position, error) {
	pos, err := s.commit(ctx, t, batch)
	if err != nil {
		return store.Position{}, fmt.Errorf("committing %d writes: %w", len(batch.Writes), err)
	}
	return pos, nil
}

func (s *Store) commit(ctx context.Context, t store.Term, batch store.Batch) (store.Position, error) {
	mine, ok := t.(*term)
	if !ok {
		return store.Position{}, store.ErrDeposed
	}
	if err := batch.Check(); err != nil {
		return store.Position{}, err
	}
	leads := clientv3.Compare(clientv3.ModRevision(s.keys.leader), "=", mine.rev)
	resp, err := s.txn(ctx, leads, s.ops(batch, time.Now()))
	if err != nil {
		return store.Position{}, err
	}
	if !resp.Succeeded {
		return store.Position{}, store.ErrDeposed
	}
	return store.Position{Epoch: mine.since.Epoch, Revision: resp.Header.Revision}, nil
}

func (s *Store) ops(batch store.Batch, now time.Time) []clientv3.Op {
	ops := make([]clientv3.Op, 0, len(batch.Writes)+len(batch.Meta)+1)
	for _, w := range batch.Writes {
		if w.Delete {
			ops = append(ops, clientv3.OpDelete(s.keys.record(w.Key)))
		} else {
			ops = append(ops, clientv3.OpPut(s.keys.record(w.Key), encodeRecord(w.Record, now)))
		}
	}
	for name, value := range batch.Meta {
		if value == nil {
			ops = append(ops, clientv3.OpDelete(s.keys.meta+name))
		} else {
			ops = append(ops, clientv3.OpPut(s.keys.meta+name, string(value)))
		}
	}
	return append(ops, clientv3.OpPut(s.keys.last, encodeCauses(batch)))
}

// modRevision is that of the one key asked for, 0 where it does not exist.
func modRevision(kvs []*mvccpb.KeyValue) int64 {
	if len(kvs) == 0 {
		return 0
	}
	return kvs[0].ModRevision
}

// notNil makes an empty value one that is there.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
