package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// hold has the transactions that come wait until the function returned is called; arrived gets one for each.
func (l *line) hold() (arrived <-chan struct{}, resume func()) {
	came, gate := make(chan struct{}, 1000), make(chan struct{})
	l.always(func(ctx context.Context, send func(context.Context) error) error {
		came <- struct{}{}
		<-gate
		return send(ctx)
	})
	return came, func() {
		l.always(nil)
		close(gate)
	}
}

// TestBatch has requests wait while transactions are under way: they go in few. Of those that go together each has its own
// end.
func TestBatch(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/24"))
	allocate(t, l, anyOf("has", 32))
	before := line.transactions()
	arrived, resume := line.hold()
	// As many as can be under way at once, so that all that follow wait.
	requests := []ledger.Request{anyOf("first", 32), anyOf("second", 32)}
	for i := range 100 {
		requests = append(requests, anyOf(fmt.Sprint("o", i), 32))
	}
	requests = append(requests, anyOf("has", 32), anyOf("has", 31), anyOf("o1", 32), anyOf("bad", 0), exactly("late", "10.0.0.200/32"))
	results := make(chan []ledger.Result, 1)
	go func() { results <- l.AllocateBatch(bounded(t), requests) }()
	<-arrived
	resume()
	got := <-results
	if n := line.transactions() - before; n > 10 { // what three of them are in the way of is read
		t.Errorf("%d requests took %d transactions, want a few", len(requests), n)
	}
	seen := map[netip.Prefix]string{}
	for i, r := range got {
		owner := requests[i].Owner
		switch {
		case i == len(requests)-4:
			var conflict *ledger.Conflict
			if !errors.As(r.Err, &conflict) {
				t.Errorf("%s asks for something else: got %v, want a conflict", owner, r.Err)
			}
			continue
		case owner == "bad":
			if !errors.Is(r.Err, ledger.ErrInvalid) {
				t.Errorf("%s: got %v, want %v", owner, r.Err, ledger.ErrInvalid)
			}
			continue
		case r.Err != nil:
			t.Errorf("%s: %v", owner, r.Err)
			continue
		}
		if other, ok := seen[r.Entry.Prefix]; r.Entry.Owner != owner || ok && other != owner {
			t.Errorf("%s got %+v, which is %s's", owner, r.Entry, other)
		}
		seen[r.Entry.Prefix] = owner
	}
	sound(t, l, 104)
}

// TestNoBatch has transactions of one change each, all at once.
func TestNoBatch(t *testing.T) {
	s := startEtcd(t, t.TempDir(), "http://127.0.0.1:0")
	t.Cleanup(func() { s.stop(t) })
	cfg, line := s.faulty(t, "/tier")
	cfg.Batch = 1
	l := open(t, cfg)
	put(t, l, services, block("10.0.0.0/24"))
	arrived, resume := line.hold()
	var calls sync.WaitGroup
	for i := range 20 {
		calls.Go(func() { allocate(t, l, anyOf(fmt.Sprint(i), 32)) })
	}
	for range 20 {
		<-arrived // so none waits for another
	}
	resume()
	calls.Wait()
	sound(t, l, 20)
}

// TestOneOwner asks for one owner many times at once.
func TestOneOwner(t *testing.T) {
	l := open(t, alone(t))
	put(t, l, services, block("10.0.0.0/24"))
	var calls sync.WaitGroup
	results := make([]ledger.Entry, 50)
	for i := range results {
		calls.Go(func() { results[i] = allocate(t, l, anyOf("a", 32)) })
	}
	calls.Wait()
	for _, e := range results {
		if e != results[0] {
			t.Errorf("got %+v and %+v", e, results[0])
		}
	}
	sound(t, l, 1)
}

// TestRefusalsAreTrue fills a block up to the last address while some of what takes it comes to nothing: nobody is refused
// for the sake of such.
func TestRefusalsAreTrue(t *testing.T) {
	l, line, _ := shaky(t)
	put(t, l, services, block("10.0.0.0/32"))
	put(t, l, ledger.Pool{Name: "other"}, block("10.1.0.0/32"))
	allocate(t, l, ledger.Request{Owner: "a", Pool: "other", Length: 32})
	arrived, resume := line.hold()
	var calls sync.WaitGroup
	calls.Go(func() {
		var conflict *ledger.Conflict
		if _, err := l.Allocate(bounded(t), anyOf("a", 32)); !errors.As(err, &conflict) {
			t.Errorf("got %v, want a conflict", err)
		}
	})
	<-arrived // a, which has something, is about to take all there is
	calls.Go(func() { allocate(t, l, anyOf("b", 32)) })
	resume()
	calls.Wait()
	sound(t, l, 2)
}

// TestMany allocates and releases from many goroutines, among them blocks being closed and opened, and counts.
func TestMany(t *testing.T) {
	cfg := alone(t)
	l := open(t, cfg)
	run(t, l)
	ranges := []string{"10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/27"}
	for _, r := range ranges {
		put(t, l, services, block(r))
	}
	var mu sync.Mutex
	holds := map[string]ledger.Entry{}
	var calls sync.WaitGroup
	for worker := range 16 {
		calls.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 60 {
				owner := fmt.Sprint(worker, "/", random.IntN(8))
				if random.IntN(3) == 0 {
					if _, err := l.Release(bounded(t), owner); err != nil && !errors.Is(err, ledger.ErrNotFound) {
						t.Error(err)
					}
					mu.Lock()
					delete(holds, owner)
					mu.Unlock()
					continue
				}
				e, err := l.Allocate(bounded(t), anyOf(owner, 30+random.IntN(3)))
				var conflict *ledger.Conflict
				switch {
				case errors.As(err, &conflict), errors.Is(err, ledger.ErrFull):
				case err != nil:
					t.Error(err)
				default:
					mu.Lock()
					holds[owner] = e
					mu.Unlock()
				}
			}
		})
	}
	calls.Go(func() {
		for i := range 30 {
			put(t, l, services, ledger.Block{Prefix: prefix(ranges[i%3]), Closed: i%2 == 0})
		}
	})
	calls.Wait()
	for owner, want := range holds {
		if got, err := l.Get(bounded(t), owner); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", owner, got, err, want)
		}
	}
	sound(t, l, len(holds))
	sound(t, open(t, cfg), len(holds))
}
