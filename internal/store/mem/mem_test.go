package mem_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type backend struct{ root *mem.Store }

func (b backend) Open(*testing.T) store.Store { return b.root.Open() }
func (b backend) Compact(*testing.T)          { b.root.Compact() }

func TestConformance(t *testing.T) {
	storetest.Run(t, 20_000, func(*testing.T) storetest.Backend { return backend{mem.New()} })
}

func commit(t *testing.T, s *mem.Store, term store.Term, content string) store.Position {
	t.Helper()
	r := record.New(record.Key{Kind: record.KindService, Name: "ns/app"}, []byte(content))
	pos, err := s.Commit(t.Context(), term, store.Batch{Writes: []store.Write{{Record: r}}})
	if err != nil {
		t.Fatalf("committing: %v", err)
	}
	return pos
}

func TestHistoryIsBounded(t *testing.T) {
	s := mem.New()
	term, err := s.Campaign(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	first := commit(t, s, term, "0")
	for range mem.History {
		commit(t, s, term, "1")
	}
	enough := errors.New("enough")
	watch := func(rev int64) error {
		return s.Watch(t.Context(), rev, func() {}, func(store.Delta) error { return enough })
	}
	if err := watch(first.Revision); !errors.Is(err, enough) {
		t.Errorf("watching all the history: got %v", err)
	}
	if err := watch(first.Revision - 1); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watching past the history: got %v, want %v", err, store.ErrCompacted)
	}
}

func TestRestore(t *testing.T) {
	s := mem.New()
	term, err := s.Campaign(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	backedUp := commit(t, s, term, "1")
	backup := s.Copy()
	later := commit(t, s, term, "2")
	err = s.Watch(t.Context(), backedUp.Revision, func() {}, func(store.Delta) error {
		s.Restore(backup)
		return nil
	})
	if !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watching across a restore: got %v, want %v", err, store.ErrCompacted)
	}
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Position != backedUp || string(state.Entries[0].Content) != "1" {
		t.Errorf("restored: got %v with %s, want %v (not %v)", state.Position, state.Entries[0].Content, backedUp, later)
	}
	if _, err := s.Commit(t.Context(), term, store.Batch{}); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("writing in a term from before: got %v, want %v", err, store.ErrDeposed)
	}
}
