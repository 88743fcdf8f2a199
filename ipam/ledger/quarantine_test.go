package ledger_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestManyQuarantinesEnd has more of them end than one round of the sweep takes, while nobody swept: all are ended without
// another release.
func TestManyQuarantinesEnd(t *testing.T) {
	const many = 400
	cfg := alone(t)
	var later atomic.Int64
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	slow := ledger.Pool{Name: services.Name, Quarantine: time.Hour}
	l := open(t, cfg)
	put(t, l, slow, block("10.0.0.0/20"))
	requests := make([]ledger.Request, many)
	for i := range requests {
		requests[i] = anyOf(fmt.Sprint("o", i), 32)
	}
	var releases sync.WaitGroup
	for i, r := range l.AllocateBatch(bounded(t), requests) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		releases.Go(func() {
			if _, err := l.Release(bounded(t), requests[i].Owner); err != nil {
				t.Error(err)
			}
		})
	}
	releases.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(2 * slow.Quarantine))
	l = open(t, cfg)
	if u := l.Usage(services.Name).Blocks[0]; u.Quarantined != many {
		t.Fatalf("got %v addresses in quarantine, want %d", u.Quarantined, many)
	}
	run(t, l)
	until(t, l, "the quarantines' end", func() bool { return l.Usage(services.Name).Blocks[0].Idle })
	sound(t, l, 0)
}
