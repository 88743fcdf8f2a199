package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meridian-federation/meridian/internal/store"
)

// ended waits for a term to end.
func (b *bench) ended(t *testing.T, term store.Term) {
	t.Helper()
	select {
	case <-term.Done():
	case <-b.ctx.Done():
		t.Fatal("the term does not end")
	}
}

func lasting(t *testing.T, term store.Term) {
	t.Helper()
	select {
	case <-term.Done():
		t.Error("the term has ended")
	default:
	}
}

func (b *bench) refused(t *testing.T, s store.Store, term store.Term) {
	t.Helper()
	if _, err := s.Commit(b.ctx, term, writes(put("refused", "1"))); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("writing in a term that ended: got %v, want %v", err, store.ErrDeposed)
	}
	for _, e := range b.load(t, s).Entries {
		if e.Key == key("refused") {
			t.Error("a deposed term wrote")
		}
	}
}

func testDeposed(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	old := b.campaign(t, one, "a")
	b.commit(t, one, old, writes(put("x", "1")))
	if err := old.Resign(b.ctx); err != nil {
		t.Fatalf("resigning: %v", err)
	}
	b.ended(t, old)
	b.refused(t, one, old)
	term := b.campaign(t, two, "b")
	b.refused(t, one, old)
	lasting(t, term)
	b.commit(t, two, term, writes(put("x", "2")))
	if err := old.Resign(b.ctx); err != nil {
		t.Errorf("resigning again: %v", err)
	}
	b.commit(t, two, term, writes(put("x", "3")))
}

func testHandOver(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	first := b.campaign(t, one, "a")
	var resigned atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		second, err := two.Campaign(b.ctx, "b")
		if err != nil {
			t.Errorf("campaigning: %v", err)
			return
		}
		if !resigned.Load() {
			t.Error("two lead at once")
		}
		lasting(t, second)
	})
	b.commit(t, one, first, writes(put("x", "1")))
	resigned.Store(true)
	if err := first.Resign(b.ctx); err != nil {
		t.Errorf("resigning: %v", err)
	}
	wg.Wait()
}

func testRestartedLeader(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	before := b.campaign(t, one, "a")
	after := b.campaign(t, two, "a")
	b.ended(t, before)
	b.refused(t, one, before)
	lasting(t, after)
	b.commit(t, two, after, writes(put("x", "1")))
}

func testClose(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	first := b.campaign(t, one, "a")
	if err := one.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	b.ended(t, first)
	if _, err := one.Load(b.ctx); err == nil {
		t.Error("a closed handle still loads")
	}
	b.campaign(t, two, "b")
	b.refused(t, two, first)
}

func testCampaignEnds(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	first := b.campaign(t, one, "a")
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := two.Campaign(ctx, "b"); !errors.Is(err, context.Canceled) {
			t.Errorf("campaigning until cancelled: got %v, want %v", err, context.Canceled)
		}
	})
	cancel()
	wg.Wait()
	lasting(t, first)
}

func testSince(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	first := b.campaign(t, one, "a")
	want(t, "since, in an empty store", first.Since(), b.load(t, one).Position)
	pos := b.commit(t, one, first, writes(put("x", "1")))
	second := b.campaign(t, two, "a")
	want(t, "since", second.Since(), pos)
}

func testClaims(t *testing.T, b *bench) {
	one, two := b.open(t), b.open(t)
	first, err := one.Claim(b.ctx, "cluster", "a", 0)
	if err != nil {
		t.Fatalf("claiming: %v", err)
	}
	if first.Fence <= 0 {
		t.Errorf("fence: got %d", first.Fence)
	}
	for _, prev := range []int64{0, first.Fence - 1, first.Fence + 1} {
		if _, err := two.Claim(b.ctx, "cluster", "b", prev); !errors.Is(err, store.ErrClaimed) {
			t.Errorf("claiming with fence %d: got %v, want %v", prev, err, store.ErrClaimed)
		}
	}
	if _, err := two.Claim(b.ctx, "free", "b", 7); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("claiming what nobody holds with a fence: got %v, want %v", err, store.ErrClaimed)
	}
	second, err := two.Claim(b.ctx, "cluster", "b", first.Fence)
	if err != nil {
		t.Fatalf("taking over: %v", err)
	}
	if second.Fence <= first.Fence {
		t.Errorf("fence: got %d after %d", second.Fence, first.Fence)
	}
	b.watchRoster(t, one).Until(t, "the claim", func(r store.Roster) bool {
		return len(r.Claims) == 1 && r.Claims["cluster"] == second
	})
	want(t, "the claim", second, store.Claim{Name: "cluster", Owner: "b", Fence: second.Fence})
}

func testClaimRace(t *testing.T, b *bench) {
	one := b.open(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := one.Claim(b.ctx, "cluster", fmt.Sprint(i), 0)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrClaimed):
				t.Errorf("claiming: %v", err)
			}
		})
	}
	wg.Wait()
	want(t, "claimants that won", won.Load(), 1)
}
