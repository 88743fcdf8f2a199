// Package mem is the record store in memory, for tests and simulations: the contract of package store with nothing
// behind it. A handle (Store) shares its data with those that Open makes from it, as processes share an etcd; Copy and
// Restore stand for a backup. Only tests import it.
package mem

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// History is how many transactions a store keeps for Watch.
const History = 1000

var errClosed = errors.New("store closed")

// Store is one handle on a store in memory.
type Store struct {
	data   *data
	closed chan struct{}
	once   sync.Once
}

var _ store.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	return handle(&data{
		epoch:   rand.Uint64() | 1,
		rev:     1,
		entries: map[record.Key]*store.Entry{},
		meta:    map[string][]byte{},
		claims:  map[string]store.Claim{},
		members: map[string]*membership{},
		changed: make(chan struct{}),
	})
}

func handle(d *data) *Store { return &Store{data: d, closed: make(chan struct{})} }

// Open makes another handle on the same data.
func (s *Store) Open() *Store { return handle(s.data) }

// Copy makes a store with the same content, epoch and position, as a backup would be.
func (s *Store) Copy() *Store {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	d := &data{members: map[string]*membership{}, changed: make(chan struct{})}
	d.set(s.data)
	return handle(d)
}

// Restore sets the data back to what the copy holds, beneath all handles: terms and memberships end and watches return
// ErrCompacted.
func (s *Store) Restore(old *Store) {
	held := old.Copy().data
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	s.data.set(held)
	s.data.age++
	s.data.depose()
	for _, m := range s.data.members {
		m.end()
	}
	s.data.wakeRoster()
}

// Compact forgets the history up to now.
func (s *Store) Compact() {
	s.data.mu.Lock()
	defer s.data.mu.Unlock()
	s.data.compacted = s.data.rev
	s.data.history = nil
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context) (*store.State, error) {
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("loading records: %w", err)
	}
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	state := &store.State{Position: d.position(), ReadAt: d.rev, Meta: maps.Clone(d.meta)}
	state.Entries = make([]*store.Entry, 0, len(d.entries))
	for _, e := range d.entries {
		state.Entries = append(state.Entries, e)
	}
	return state, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, revision int64, began func(), fn func(store.Delta) error) error {
	age := s.data.currentAge()
	for first := true; ; first = false {
		if err := s.usable(ctx); err != nil {
			return fmt.Errorf("watching records: %w", err)
		}
		deltas, changed, err := s.data.since(revision, age)
		if err != nil {
			return fmt.Errorf("watching records after revision %d: %w", revision, err)
		}
		if first {
			began()
		}
		for _, delta := range deltas {
			if err := fn(delta); err != nil {
				return err
			}
			revision = delta.Position.Revision
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-s.closed:
		}
	}
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, t store.Term, batch store.Batch) (store.Position, error) {
	if err := errors.Join(s.usable(ctx), batch.Check()); err != nil {
		return store.Position{}, fmt.Errorf("committing %d writes: %w", len(batch.Writes), err)
	}
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if mine, ok := t.(*term); !ok || d.leader != mine {
		return store.Position{}, fmt.Errorf("committing %d writes: %w", len(batch.Writes), store.ErrDeposed)
	}
	d.commit(batch, time.Now())
	return d.position(), nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.data.mu.Lock()
		defer s.data.mu.Unlock()
		if t := s.data.leader; t != nil && t.owner == s {
			s.data.depose()
		}
		for _, m := range s.data.members {
			if m.owner == s {
				m.end()
			}
		}
		s.data.wakeRoster()
	})
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return errClosed
	default:
		return ctx.Err()
	}
}
