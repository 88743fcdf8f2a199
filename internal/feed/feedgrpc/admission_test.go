package feedgrpc

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
)

func TestGate(t *testing.T) {
	const concurrent, line, late = 3, 20, 5
	var stats feed.Stats
	g := newGate(Admission{Concurrent: concurrent, Rate: 1e6, Line: line}, &stats)
	var inside []func()
	for range concurrent {
		leave, waited, err := g.pass(t.Context())
		if err != nil || waited {
			t.Fatalf("the first: waited %v, %v, want no wait", waited, err)
		}
		inside = append(inside, leave)
	}
	var now, most atomic.Int64
	var children sync.WaitGroup
	for range line {
		children.Go(func() {
			leave, waited, err := g.pass(context.Background())
			if err != nil || !waited {
				t.Errorf("one in line: waited %v, %v, want a wait", waited, err)
				return
			}
			for n := now.Add(1); n > most.Load(); {
				most.Store(n)
			}
			now.Add(-1)
			leave()
			leave()
		})
	}
	for stats.Waiting.Load() < line {
		runtime.Gosched()
	}
	for range late {
		_, _, err := g.pass(t.Context())
		var away *turnedAway
		if !errors.As(err, &away) || away.after < time.Second {
			t.Errorf("one beyond the line: got %v, want it turned away for a second or more", err)
		}
	}
	for _, leave := range inside {
		leave()
	}
	children.Wait()
	if most.Load() > concurrent {
		t.Errorf("%d were inside at once, want at most %d", most.Load(), concurrent)
	}
	for what, got := range map[string][2]int64{
		"admitted":    {stats.Admitted.Load(), concurrent + line},
		"turned away": {stats.TurnedAway.Load(), late},
		"waiting":     {stats.Waiting.Load(), 0},
		"waits":       {int64(stats.Admissions.Read().Count), concurrent + line},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %d, want %d", what, got[0], got[1])
		}
	}
}

func TestGateRate(t *testing.T) {
	g := newGate(Admission{Concurrent: 1, Rate: 1e-6}, &feed.Stats{})
	leave, _, err := g.pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopping)
	if _, _, err := g.pass(ctx); !errors.Is(err, errStopping) {
		t.Errorf("one that waits for its second to come: got %v, want %v", err, errStopping)
	}
	if len(g.places) != 0 {
		t.Errorf("%d places are taken by those that gave up, want none", len(g.places))
	}
}
