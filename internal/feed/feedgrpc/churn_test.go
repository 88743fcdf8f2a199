package feedgrpc_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestChurn edits both ends from several goroutines while connections are cut, and then wants them to agree.
func TestChurn(t *testing.T) {
	const keys, rounds = 200, 5
	h := newHub(t, "a")
	parent, child := h.children["a"], newTier()
	parent.outbox.SetComplete(true)
	child.outbox.SetComplete(true)
	dial(t, child, "a", h.address)

	for round := range rounds {
		var editors sync.WaitGroup
		for editor := range 3 {
			editors.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(editor)))
				for n := range 1_000 {
					name := fmt.Sprint("k", rng.IntN(keys))
					edit := feed.Put(rec(name, fmt.Sprint(round, editor, n)))
					if rng.IntN(4) == 0 {
						edit = feed.Remove(rec(name, "").Key, record.CausePerson)
					}
					parent.outbox.Edit(edit)
					child.outbox.Edit(edit)
					if rng.IntN(20) == 0 {
						child.ledger.Forget(edit.Key)
					}
				}
			})
		}
		child.await(t, "the parent is there", func() bool { return child.link != nil })
		address := h.address
		h.stop()
		h.start(address)
		editors.Wait()
	}
	for _, e := range []struct {
		name     string
		from, to *tier
	}{{"child", parent, child}, {"parent", child, parent}} {
		e.to.await(t, "the "+e.name+" agrees", func() bool { return e.to.ledger.Root() == e.from.outbox.Root() })
		e.to.mu.Lock()
		for _, kv := range e.from.outbox.Keys() {
			want, _ := e.from.outbox.Get(kv.Key)
			if got := e.to.held[kv.Key]; got != string(want.Content) {
				t.Errorf("the %s holds %s = %q, want %q", e.name, kv.Key, got, want.Content)
			}
		}
		if got, want := len(e.to.held), e.from.outbox.Len(); got != want {
			t.Errorf("the %s holds %d records, want %d", e.name, got, want)
		}
		e.to.mu.Unlock()
	}
}
