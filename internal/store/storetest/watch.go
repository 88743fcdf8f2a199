package storetest

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/store"
)

// RosterWatch is the roster as a handle's watch last told it.
type RosterWatch struct {
	ctx context.Context

	mu      sync.Mutex
	latest  store.Roster  // guarded by mu; each call makes another
	changed chan struct{} // guarded by mu; closed and replaced at each call
}

// WatchRoster watches until the test or ctx ends, and waits for the first call. A watch that ends before fails the test,
// so a handle is closed by an earlier t.Cleanup.
func WatchRoster(ctx context.Context, t *testing.T, s store.Store) *RosterWatch {
	t.Helper()
	w := &RosterWatch{ctx: ctx, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.WatchRoster(ctx, w.see); ctx.Err() == nil {
			t.Errorf("the roster's watch ended: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	w.Until(t, "a roster", func(r store.Roster) bool { return r.Members != nil })
	return w
}

func (w *RosterWatch) see(r *store.Roster) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = store.Roster{Members: maps.Clone(r.Members), Leader: r.Leader, Claims: maps.Clone(r.Claims)}
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// Latest is the roster of the last call.
func (w *RosterWatch) Latest() store.Roster {
	latest, _ := w.state()
	return latest
}

// Until waits for a roster of which is holds.
func (w *RosterWatch) Until(t *testing.T, what string, is func(store.Roster) bool) {
	t.Helper()
	for {
		latest, changed := w.state()
		if is(latest) {
			return
		}
		select {
		case <-changed:
		case <-w.ctx.Done():
			t.Fatalf("waiting for %s: got %+v", what, latest)
		}
	}
}

func (w *RosterWatch) state() (store.Roster, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.changed
}
