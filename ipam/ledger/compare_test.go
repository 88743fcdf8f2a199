package ledger_test

import (
	"fmt"
	"testing"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestRun allocates several at once: that is one transaction, in which one comparison does for all their entries.
func TestRun(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	before := line.transactions()
	allocateAll(t, l, 20)
	if n := line.transactions() - before; n != 1 {
		t.Errorf("got %d transactions, want 1", n)
	}
	if got, want := line.comparisons(), 20+3; got != want {
		t.Errorf("got %d comparisons, want %d: of the block, the last change, the run and each owner", got, want)
	}
	sound(t, l, 20)
}

// TestStrayInRun has an entry that memory does not know of where several are to go: it stays as it is, whichever of them is
// in its way, and they go elsewhere.
func TestStrayInRun(t *testing.T) {
	for at := range 5 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			l, _, cfg := shaky(t)
			put(t, l, services, block("10.0.0.0/24"))
			key := fmt.Sprintf("/tier/space/entries/services/0a%06x/32", at)
			if _, err := cfg.Client.Put(bounded(t), key, "stray"); err != nil {
				t.Fatal(err)
			}
			for _, r := range allocateAll(t, l, 5) {
				if got := r.Entry.Prefix; got == prefix(fmt.Sprintf("10.0.0.%d/32", at)) {
					t.Errorf("%s got %s, which the stray has", r.Entry.Owner, got)
				}
			}
			is, err := cfg.Client.Get(bounded(t), key)
			if err != nil || len(is.Kvs) != 1 || string(is.Kvs[0].Value) != "stray" {
				t.Errorf("got %v, %v, want the stray as it was", is, err)
			}
		})
	}
}

// TestSeveralRuns allocates prefixes with gaps between, and of two pools: what is in a gap is in nobody's way.
func TestSeveralRuns(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	put(t, l, ledger.Pool{Name: "other", IPv6: true}, block("2001:db8::/120"))
	allocate(t, l, exactly("gap", "10.0.0.4/31"))
	before := line.transactions()
	requests := []ledger.Request{exactly("a", "10.0.0.0/31"), exactly("b", "10.0.0.2/31"), exactly("c", "10.0.0.6/32"), exactly("d", "10.0.0.7/32"),
		exactly("e", "10.0.0.9/32"), {Owner: "f", Pool: "other", Length: 128}, {Owner: "g", Pool: "other", Length: 128}}
	for i, r := range l.AllocateBatch(bounded(t), requests) {
		if want := requests[i].Prefix; r.Err != nil || want.IsValid() && r.Entry.Prefix != want {
			t.Errorf("got %+v, want %v", r, want)
		}
	}
	if n := line.transactions() - before; n != 1 {
		t.Errorf("got %d transactions, want 1", n)
	}
	if got, want := line.comparisons(), 2+1+4+7; got != want {
		t.Errorf("got %d comparisons, want %d: of two blocks, the last change, four runs and each owner", got, want)
	}
	sound(t, l, 8)
}

// TestWidth has so much wait that there are more transactions under way than where little does.
func TestWidth(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/16"))
	arrived, resume := line.hold()
	done := make(chan struct{})
	go func() {
		defer close(done)
		allocateAll(t, l, 300)
	}()
	ctx := bounded(t)
	for n := range 4 {
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Errorf("%d transactions are under way, want 4", n)
		}
	}
	resume()
	<-done
	sound(t, l, 300)
}

// allocateAll allocates an address for each of n owners at once.
func allocateAll(t *testing.T, l *ledger.Ledger, n int) []ledger.Result {
	t.Helper()
	requests := make([]ledger.Request, n)
	for i := range requests {
		requests[i] = anyOf(fmt.Sprint("owner", i), 32)
	}
	results := l.AllocateBatch(bounded(t), requests)
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("allocating: %v", r.Err)
		}
	}
	return results
}
