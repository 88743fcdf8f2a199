package feedgrpc_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
)

// TestStorm lets more children come at once than may wait, twice, and wants all of them served.
func TestStorm(t *testing.T) {
	const count = 60
	var stats feed.Stats
	h := &hub{tb: t, children: map[string]*tier{}, stats: &stats,
		admission: feedgrpc.Admission{Concurrent: 4, Rate: 1_000, Line: 20}}
	var beginning, most atomic.Int64
	for n := range count {
		parent := newTier()
		parent.outbox.Edit(feed.Put(rec("k", fmt.Sprint(n))))
		parent.outbox.SetComplete(true)
		parent.began = func(begins bool) {
			if !begins {
				beginning.Add(-1)
			} else if b := beginning.Add(1); b > most.Load() {
				most.Store(b)
			}
		}
		h.children[fmt.Sprint(n)] = parent
	}
	h.start("127.0.0.1:0")
	t.Cleanup(func() { h.stop() })
	children := map[string]*tier{}
	for path := range h.children {
		children[path] = newTier()
		dial(t, children[path], path, h.address)
	}
	all := func(what string) {
		t.Helper()
		for path, child := range children {
			child.await(t, what, func() bool { return child.ledger.Root() == h.children[path].outbox.Root() && child.link != nil })
		}
	}
	all("it holds its record")
	address := h.address
	h.stop()
	for path, parent := range h.children {
		parent.outbox.Edit(feed.Put(rec("k", "later for "+path)))
	}
	h.start(address)
	all("it holds its later record")
	if got := stats.Admitted.Load(); got < 2*count {
		t.Errorf("%d sessions were admitted, want at least %d", got, 2*count)
	}
	if got := stats.Waiting.Load(); got != 0 {
		t.Errorf("%d children wait in line, want none", got)
	}
	if got := most.Load(); got > 4 {
		t.Errorf("%d sessions were in their first comparison at once, want at most 4", got)
	}
	t.Logf("admitted %d, turned away %d, waited %.2f s in all", stats.Admitted.Load(), stats.TurnedAway.Load(), stats.Admissions.Read().Sum)
}
