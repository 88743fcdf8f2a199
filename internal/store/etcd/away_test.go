package etcd_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// follower keeps what a handle's watch of the roster told last.
type follower struct {
	mu      sync.Mutex
	claims  map[string]string // guarded by mu; owners by name
	members int               // guarded by mu
	changed chan struct{}     // guarded by mu; closed and replaced at each call
}

func follow(t *testing.T, s store.Store) *follower {
	f := &follower{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.WatchRoster(ctx, f.see) // the context's end, or the handle's
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return f
}

func (f *follower) see(r *store.Roster) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claims, f.members = map[string]string{}, len(r.Members)
	for name, c := range r.Claims {
		f.claims[name] = c.Owner
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// until waits for a number of members, and that a claim has an owner.
func (f *follower) until(ctx context.Context, t *testing.T, members int, claim, owner string) {
	t.Helper()
	for {
		f.mu.Lock()
		n, has, changed := f.members, f.claims[claim], f.changed
		f.mu.Unlock()
		if n == members && has == owner {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waiting for %d members and claim %s of %q: got %d, %q", members, claim, owner, n, has)
		}
	}
}

func gone(ctx context.Context, t *testing.T, m store.Membership) {
	t.Helper()
	select {
	case <-m.Done():
	case <-ctx.Done():
		t.Fatal("the membership does not end")
	}
	if m.Fresh() {
		t.Error("a membership that ended is fresh")
	}
}

func mustJoin(ctx context.Context, t *testing.T, s store.Store, id string) store.Membership {
	t.Helper()
	m, err := s.Join(ctx, store.Member{ID: id, Address: id + ":1"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustClaim(ctx context.Context, t *testing.T, s store.Store, name, owner string, prev int64) store.Claim {
	t.Helper()
	c, err := s.Claim(ctx, name, owner, prev)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStalled has etcd hang behind open connections. The handle behind it loses its term and its membership, and knows
// it by itself; the other goes on. Afterwards the one catches up with all that it missed.
func TestStalled(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := serve(t, t.TempDir(), "http://127.0.0.1:0")
	defer stop(t, srv)
	p := startProxy(t, strings.TrimPrefix(srv.Endpoint(), "http://"))
	s, err := etcd.Dial(etcd.Config{Endpoints: []string{p.endpoint()}, TTL: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := openStore(t, srv)
	defer other.Close()
	mirror, roster, seen := runMirror(t, s), follow(t, s), follow(t, other)
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	commitAndSee(ctx, t, s, mirror, term, "1")
	member := mustJoin(ctx, t, s, "a")
	claim := mustClaim(ctx, t, s, "c", "a", 0)
	mustJoin(ctx, t, other, "b")
	roster.until(ctx, t, 2, "c", "a")

	p.stall()
	stalled, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := s.Commit(stalled, term, batch("2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("committing: got %v, want %v", err, context.DeadlineExceeded)
	}
	gone(ctx, t, member)
	<-term.Done()
	next, err := other.Campaign(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	seen.until(ctx, t, 1, "c", "a")
	mustClaim(ctx, t, other, "c", "b", claim.Fence)
	if _, err := other.Commit(ctx, next, batch("3")); err != nil {
		t.Fatal(err)
	}

	p.resume()
	roster.until(ctx, t, 1, "c", "b")
	commitAndSee(ctx, t, other, mirror, next, "4")
	if _, err := s.Commit(ctx, term, batch("never")); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("committing in the old term: got %v, want %v", err, store.ErrDeposed)
	}
	if again := mustJoin(ctx, t, s, "a"); !again.Fresh() {
		t.Error("a member that joined again is not fresh")
	}
	seen.until(ctx, t, 2, "c", "b")
	if failed(mirror.Stats(), "timeout") != 0 {
		t.Error("commits beside a Writer are counted")
	}
}

// TestRosterWhileAway stops the server and starts it again, with changes of the roster by another while this handle may
// not have found it yet.
func TestRosterWhileAway(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), bounded(t)
	srv := serve(t, dir, "http://127.0.0.1:0")
	defer func() { stop(t, srv) }() // when the store has closed its connections, for which etcd waits
	endpoint := srv.Endpoint()
	s, err := etcd.Dial(etcd.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	roster := follow(t, s)
	member := mustJoin(ctx, t, s, "a")
	claim := mustClaim(ctx, t, s, "c", "a", 0)
	roster.until(ctx, t, 1, "c", "a")
	stop(t, srv)
	gone(ctx, t, member)
	srv = serve(t, dir, endpoint)
	direct := openStore(t, srv)
	defer direct.Close()
	mustClaim(ctx, t, direct, "c", "b", claim.Fence)
	mustJoin(ctx, t, s, "a")
	roster.until(ctx, t, 1, "c", "b")
}
