package graphtest

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// Store is a store in memory, its leader's writer and its mirror, for one goroutine.
type Store struct {
	store  *mem.Store
	mirror *store.Mirror
	writer *store.Writer
	sub    *store.Subscription
	cancel context.CancelFunc
	done   chan struct{}
}

// NewStore returns an empty store. Its owner closes it.
func NewStore() (*Store, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{store: mem.New(), cancel: cancel, done: make(chan struct{})}
	term, err := s.store.Campaign(ctx, "graphtest")
	if err != nil {
		cancel()
		return nil, fmt.Errorf("leading a store in memory: %w", err)
	}
	s.mirror = store.NewMirror(s.store, slog.New(slog.DiscardHandler))
	s.writer = store.NewWriter(s.store, s.mirror, term)
	s.sub = s.mirror.Subscribe()
	go func() {
		defer close(s.done)
		_ = s.mirror.Run(ctx) // which ends with ctx alone
	}()
	return s, nil
}

// Close ends the store.
func (s *Store) Close() {
	s.sub.Close()
	s.cancel()
	<-s.done
	_ = s.store.Close() // which is memory
}

// Snapshot is what the store holds.
func (s *Store) Snapshot() *store.Snapshot { return s.mirror.Snapshot() }

// Write makes writes and returns the update that follows from them; without changes if they change nothing.
func (s *Store) Write(ctx context.Context, writes ...store.Write) (store.Update, error) {
	before := s.mirror.Snapshot()
	changed, err := s.writer.Apply(ctx, writes, nil)
	if err != nil {
		return store.Update{}, err
	}
	if changed == 0 {
		return store.Update{Old: before, New: s.mirror.Snapshot()}, nil
	}
	return s.sub.Next(ctx)
}

// Set makes the store hold exactly these records.
func (s *Store) Set(ctx context.Context, records []record.Record) (store.Update, error) {
	var writes []store.Write
	keep := make(map[record.Key]bool, len(records))
	for _, r := range records {
		keep[r.Key] = true
		writes = append(writes, store.Write{Record: r})
	}
	for e := range s.mirror.Snapshot().Entries() {
		if !keep[e.Key] {
			writes = append(writes, store.Write{Record: record.Record{Key: e.Key}, Delete: true, Cause: record.CausePerson})
		}
	}
	return s.Write(ctx, writes...)
}
