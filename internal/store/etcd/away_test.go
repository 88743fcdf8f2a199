package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/storetest"
)

// untilRoster waits for a number of members, and that a claim has an owner.
func untilRoster(t *testing.T, w *storetest.RosterWatch, members int, claim, owner string) {
	t.Helper()
	w.Until(t, fmt.Sprintf("%d members and claim %s of %q", members, claim, owner), func(r store.Roster) bool {
		return len(r.Members) == members && r.Claims[claim].Owner == owner
	})
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

func ended(ctx context.Context, t *testing.T, term store.Term) {
	t.Helper()
	select {
	case <-term.Done():
	case <-ctx.Done():
		t.Fatal("the term outlasts its lease")
	}
}

// untilConnected waits until a mirror counts itself as following its store, or not.
func untilConnected(ctx context.Context, t *testing.T, m *store.Mirror, want bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for (m.Stats().Connected.Load() == 1) != want {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waiting for a mirror with connected=%t", want)
		}
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
	srv := startAway(t)
	p := startProxy(t, strings.TrimPrefix(srv.endpoint, "http://"))
	s := dial(t, etcd.Config{Endpoints: []string{p.endpoint()}, TTL: 2 * time.Second})
	other := dial(t, etcd.Config{Endpoints: []string{srv.endpoint}, TTL: longLease})
	mirror := runMirror(t, s)
	roster, seen := storetest.WatchRoster(ctx, t, s), storetest.WatchRoster(ctx, t, other)
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	writer := store.NewWriter(s, mirror, term)
	commitAndSee(ctx, t, s, mirror, term, "1")
	member := mustJoin(ctx, t, s, "a")
	claim := mustClaim(ctx, t, s, "c", "a", 0)
	mustJoin(ctx, t, other, "b")
	untilRoster(t, roster, 2, "c", "a")

	p.stall()
	stalled, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := writer.Apply(stalled, batch("2").Writes, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("committing: got %v, want %v", err, context.DeadlineExceeded)
	}
	if n := failed(mirror.Stats(), "timeout"); n != 1 {
		t.Errorf("commits counted as failed because etcd did not answer: got %d, want 1", n)
	}
	gone(ctx, t, member)
	ended(ctx, t, term)
	untilConnected(ctx, t, mirror, false)
	if err := errors.Join(term.Resign(ctx), member.Leave(ctx)); err != nil {
		t.Errorf("giving up what has ended: %v", err)
	}
	next, err := other.Campaign(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	untilRoster(t, seen, 1, "c", "a")
	mustClaim(ctx, t, other, "c", "b", claim.Fence)
	if _, err := other.Commit(ctx, next, batch("3")); err != nil {
		t.Fatal(err)
	}

	p.resume()
	untilRoster(t, roster, 1, "c", "b")
	commitAndSee(ctx, t, other, mirror, next, "4")
	if _, err := s.Commit(ctx, term, batch("never")); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("committing in the old term: got %v, want %v", err, store.ErrDeposed)
	}
	if again := mustJoin(ctx, t, s, "a"); !again.Fresh() {
		t.Error("a member that joined again is not fresh")
	}
	untilRoster(t, seen, 2, "c", "b")
	untilConnected(ctx, t, mirror, true)
}

// TestAwayBeforeTheWatch takes etcd away when it has answered that it is there, and before there is a watch.
func TestAwayBeforeTheWatch(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := startAway(t)
	p := startProxy(t, strings.TrimPrefix(srv.endpoint, "http://"))
	s := dial(t, etcd.Config{Endpoints: []string{p.endpoint()}})
	state, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Watch(ctx, state.ReadAt, p.stop, func(store.Delta) error { return nil })
	if err == nil || ctx.Err() != nil {
		t.Errorf("watching: got %v, want that etcd does not answer", err)
	}
}

// TestRosterWhileAway stops the server and starts it again, with changes of the roster by another while this handle may
// not have found it yet.
func TestRosterWhileAway(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := startAway(t)
	s := dial(t, etcd.Config{Endpoints: []string{srv.endpoint}})
	roster := storetest.WatchRoster(ctx, t, s)
	member := mustJoin(ctx, t, s, "a")
	claim := mustClaim(ctx, t, s, "c", "a", 0)
	untilRoster(t, roster, 1, "c", "a")
	srv.stop()
	gone(ctx, t, member)
	srv.start(srv.dir)
	direct := openStore(t, srv.server)
	t.Cleanup(func() { _ = direct.Close() })
	mustClaim(ctx, t, direct, "c", "b", claim.Fence)
	mustJoin(ctx, t, s, "a")
	untilRoster(t, roster, 1, "c", "b")
}
