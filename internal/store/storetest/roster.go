package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/store"
)

func (b *bench) watchRoster(t *testing.T, s store.Store) *RosterWatch {
	t.Helper()
	return WatchRoster(b.ctx, t, s)
}

func (w *RosterWatch) untilMembers(t *testing.T, members ...store.Member) {
	t.Helper()
	want := map[string]store.Member{}
	for _, m := range members {
		want[m.ID] = m
	}
	w.Until(t, fmt.Sprintf("members %v", members), func(r store.Roster) bool { return maps.Equal(r.Members, want) })
}

func (w *RosterWatch) untilLeader(t *testing.T, id string) {
	t.Helper()
	w.Until(t, fmt.Sprintf("leader %q", id), func(r store.Roster) bool { return r.Leader == id })
}

func (b *bench) join(t *testing.T, s store.Store, m store.Member) store.Membership {
	t.Helper()
	joined, err := s.Join(b.ctx, m)
	if err != nil {
		t.Fatalf("joining: %v", err)
	}
	return joined
}

// left waits for a membership to end.
func (b *bench) left(t *testing.T, m store.Membership) {
	t.Helper()
	select {
	case <-m.Done():
	case <-b.ctx.Done():
		t.Fatal("the membership does not end")
	}
	if m.Fresh() {
		t.Error("a membership that ended is fresh")
	}
	if err := m.Update(b.ctx, store.Member{Address: "late"}); !errors.Is(err, store.ErrEnded) {
		t.Errorf("describing a member that is gone: got %v, want %v", err, store.ErrEnded)
	}
}

func member(id string) store.Member { return store.Member{ID: id, Address: id + ":1"} }

func testMembers(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	w := b.watchRoster(t, two)
	w.untilMembers(t)
	a := b.join(t, one, member("a"))
	c := b.join(t, two, member("c"))
	w.untilMembers(t, member("a"), member("c"))
	if !a.Fresh() || !c.Fresh() {
		t.Error("a member that just joined is not fresh")
	}
	moved := store.Member{ID: "a", Address: "elsewhere:1", Leaving: true}
	if err := a.Update(b.ctx, moved); err != nil {
		t.Errorf("describing a member anew: %v", err)
	}
	w.untilMembers(t, moved, member("c"))
	if err := a.Leave(b.ctx); err != nil {
		t.Errorf("leaving: %v", err)
	}
	b.left(t, a)
	w.untilMembers(t, member("c"))
	if err := a.Leave(b.ctx); err != nil {
		t.Errorf("leaving again: %v", err)
	}
	b.watchRoster(t, one).untilMembers(t, member("c")) // one that begins later
}

func testRestartedMember(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	w := b.watchRoster(t, one)
	before := b.join(t, one, member("a"))
	again := store.Member{ID: "a", Address: "again:1"}
	after := b.join(t, two, again)
	b.left(t, before)
	w.untilMembers(t, again)
	if err := before.Leave(b.ctx); err != nil {
		t.Errorf("leaving: %v", err)
	}
	later := store.Member{ID: "a", Address: "later:1"}
	if err := after.Update(b.ctx, later); err != nil {
		t.Errorf("describing the later one anew: %v", err)
	}
	w.untilMembers(t, later)
	if !after.Fresh() {
		t.Error("the later one is not fresh")
	}
}

func testCloseLeaves(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	w := b.watchRoster(t, two)
	a := b.join(t, one, member("a"))
	w.untilMembers(t, member("a"))
	if err := one.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	select {
	case <-a.Done():
	case <-b.ctx.Done():
		t.Fatal("the membership outlasts its handle")
	}
	w.untilMembers(t)
	if _, err := one.Join(b.ctx, member("a")); err == nil {
		t.Error("a closed handle still joins")
	}
}

func testRosterOfClaims(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	held, err := one.Claim(b.ctx, "held", "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	w := b.watchRoster(t, two)
	want(t, "claims at first", w.Latest().Claims, map[string]store.Claim{"held": held})
	claims := map[string]store.Claim{}
	for i := range 50 {
		name := fmt.Sprint("c", i%10)
		c, err := one.Claim(b.ctx, name, fmt.Sprint("owner-", i), claims[name].Fence)
		if err != nil {
			t.Fatal(err)
		}
		claims[name] = c
	}
	claims["held"] = held
	w.Until(t, "all claims", func(r store.Roster) bool { return maps.Equal(r.Claims, claims) })
}

func testRosterOfLeaders(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	w := b.watchRoster(t, two)
	w.untilLeader(t, "")
	term := b.campaign(t, one, "a")
	w.untilLeader(t, "a")
	if err := term.Resign(b.ctx); err != nil {
		t.Errorf("resigning: %v", err)
	}
	w.untilLeader(t, "")
	b.campaign(t, two, "b")
	w.untilLeader(t, "b")
}

func testDepose(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	if err := two.Depose(b.ctx, "a"); err != nil {
		t.Errorf("deposing where nobody leads: %v", err)
	}
	term := b.campaign(t, one, "a")
	for _, other := range []string{"b", ""} {
		if err := two.Depose(b.ctx, other); err != nil {
			t.Errorf("deposing %q, who does not lead: %v", other, err)
		}
	}
	b.commit(t, one, term, writes(put("x", "1")))
	var wg sync.WaitGroup
	wg.Go(func() {
		second, err := two.Campaign(b.ctx, "b")
		if err != nil {
			t.Errorf("campaigning: %v", err)
			return
		}
		if _, err := two.Commit(b.ctx, second, writes(put("x", "2"))); err != nil {
			t.Errorf("committing: %v", err)
		}
	})
	if err := two.Depose(b.ctx, "a"); err != nil {
		t.Fatalf("deposing: %v", err)
	}
	wg.Wait()
	b.ended(t, term)
	b.refused(t, one, term)
}

func testRosterEnds(t *testing.T, b *bench) {
	s := b.open(t)
	own := errors.New("its own")
	if err := s.WatchRoster(b.ctx, func(*store.Roster) error { return own }); err != own {
		t.Errorf("watching until the function fails: got %v, want its own error as it is", err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	err := s.WatchRoster(ctx, func(*store.Roster) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("watching until cancelled: got %v, want %v", err, context.Canceled)
	}
	began := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.WatchRoster(b.ctx, func(*store.Roster) error { close(began); return nil }); err == nil || b.ctx.Err() != nil {
			t.Errorf("watching until the handle is closed: got %v", err)
		}
	})
	<-began
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// testSlowRoster: a reader that is slow is told the latest, not all that was.
func testSlowRoster(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	const changes = 200
	began, proceed := make(chan struct{}), make(chan struct{})
	last := store.Claim{}
	calls := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		err := two.WatchRoster(b.ctx, func(r *store.Roster) error {
			if calls++; calls == 1 {
				close(began)
				<-proceed
			}
			if len(r.Claims) > 0 && r.Claims["c"] == last {
				return errEnough
			}
			return nil
		})
		if err != errEnough {
			t.Errorf("watching: %v", err)
		}
	})
	<-began
	for range changes {
		c, err := one.Claim(b.ctx, "c", "a", last.Fence)
		if err != nil {
			t.Fatal(err)
		}
		last = c
	}
	b.watchRoster(t, two).Until(t, "the last claim", func(r store.Roster) bool { return r.Claims["c"] == last })
	close(proceed)
	wg.Wait()
	if calls > changes/2 {
		t.Errorf("got %d calls for %d changes while the first was held up", calls, changes)
	}
}
