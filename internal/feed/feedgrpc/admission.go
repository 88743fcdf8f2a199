package feedgrpc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/meridian-federation/meridian/internal/feed"
)

// Admission bounds what a storm of children costs their parent: how many begin a session at once, and how fast they
// come. What a session costs to begin is its handshake and its first comparison with what that finds to send; after
// that it costs next to nothing.
type Admission struct {
	// Concurrent is how many sessions may be in their first comparison at once, 64 if 0: enough to keep two cores busy
	// while others wait for the network, and at most 64 windows of batches in memory.
	Concurrent int
	// Rate is how many sessions may begin in one second, 500 if 0: about half of what two cores can do, so that the
	// sessions that go on are served meanwhile.
	Rate float64
	// Line is how many children may wait, 2048 if 0: twice the clusters of a large zone, at about 50 kB each. Those
	// beyond are told to come again later.
	Line int
}

// firstComparison is how long a session counts as one that begins, at most.
const firstComparison = 10 * time.Second

func (a Admission) withDefaults() Admission {
	if a.Concurrent <= 0 {
		a.Concurrent = 64
	}
	if a.Rate <= 0 {
		a.Rate = 500
	}
	if a.Line <= 0 {
		a.Line = 2048
	}
	return a
}

// turnedAway is why a child is not let in now, and when it may come again.
type turnedAway struct {
	reason string
	after  time.Duration
}

func (t *turnedAway) Error() string {
	return fmt.Sprintf("%s; come again in about %s", t.reason, t.after)
}

// gate lets children in, first come first served.
type gate struct {
	Admission
	places  chan struct{}
	limiter *rate.Limiter
	stats   *feed.Stats

	mu      sync.Mutex
	waiting int // guarded by mu
}

func newGate(a Admission, stats *feed.Stats) *gate {
	a = a.withDefaults()
	return &gate{Admission: a, places: make(chan struct{}, a.Concurrent),
		limiter: rate.NewLimiter(rate.Limit(a.Rate), a.Concurrent), stats: stats}
}

// pass waits until a child may begin. leave is to be called once when it has begun, and may be called again; waited
// tells that time has gone by.
func (g *gate) pass(ctx context.Context) (leave func(), waited bool, err error) {
	began := time.Now()
	select {
	case g.places <- struct{}{}:
	default:
		waited = true
		if err := g.queue(ctx); err != nil {
			return nil, true, err
		}
	}
	leave = sync.OnceFunc(func() { <-g.places })
	reservation := g.limiter.Reserve()
	if delay := reservation.Delay(); delay > 0 {
		waited = true
		if !rest(ctx, delay) {
			reservation.Cancel()
			leave()
			return nil, true, context.Cause(ctx)
		}
	}
	g.stats.Admitted.Add(1)
	g.stats.Admissions.Observe(time.Since(began))
	return leave, waited, nil
}

// queue waits for a place.
func (g *gate) queue(ctx context.Context) error {
	if err := g.enqueue(); err != nil {
		g.stats.TurnedAway.Add(1)
		return err
	}
	defer g.dequeue()
	select {
	case g.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) enqueue() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting >= g.Line {
		after := time.Duration(float64(g.waiting) / g.Rate * float64(time.Second))
		return &turnedAway{reason: fmt.Sprintf("%d children wait in line already", g.waiting), after: max(after, time.Second)}
	}
	g.waiting++
	g.stats.Waiting.Add(1)
	return nil
}

func (g *gate) dequeue() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting--
	g.stats.Waiting.Add(-1)
}
