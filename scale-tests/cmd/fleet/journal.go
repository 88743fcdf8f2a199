package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// journal takes in what all agents write. Its methods may be called from any goroutine.
type journal struct {
	mu sync.Mutex // guards all below
	// writes counts all of them, repeated those that wrote the version that was there.
	writes, repeated int64
	// rounds are those that clusters have of applications, by application and cluster.
	rounds map[string]map[string]int
	waits  map[string][]*wait
	// arrivals are kept, and so are writes, while somebody wants them.
	keepArrivals, keepWrites bool
	arrivals                 []arrival
	kept                     []simagent.Write
}

// arrival is the moment at which a cluster had a round of an application.
type arrival struct {
	application, cluster string
	round                int
	at                   time.Time
}

// wait ends when so many clusters have the round or a later one; with none wanted, when no cluster has any.
type wait struct {
	round, clusters int
	done            chan struct{}
}

func newJournal() *journal {
	return &journal{rounds: map[string]map[string]int{}, waits: map[string][]*wait{}}
}

// wrote takes in one write.
func (j *journal) wrote(w simagent.Write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writes++
	if w.Version == w.Before {
		j.repeated++
	}
	if j.keepWrites {
		j.kept = append(j.kept, w)
	}
	name, ok := deploymentName(w.Key)
	if !ok {
		return
	}
	if j.rounds[name] == nil {
		j.rounds[name] = map[string]int{}
	}
	if w.Version.IsZero() {
		delete(j.rounds[name], w.Cluster)
	} else {
		j.rounds[name][w.Cluster] = w.Round
		if j.keepArrivals {
			j.arrivals = append(j.arrivals, arrival{name, w.Cluster, w.Round, w.At})
		}
	}
	j.wake(name)
}

// wake ends the waits that are over.
func (j *journal) wake(name string) {
	var left []*wait
	for _, w := range j.waits[name] {
		if j.over(name, w) {
			close(w.done)
		} else {
			left = append(left, w)
		}
	}
	if left == nil {
		delete(j.waits, name)
		return
	}
	j.waits[name] = left
}

func (j *journal) over(name string, w *wait) bool {
	if w.clusters == 0 {
		return len(j.rounds[name]) == 0
	}
	have := 0
	for _, round := range j.rounds[name] {
		if round >= w.round {
			have++
		}
	}
	return have >= w.clusters
}

// await waits until so many clusters have a round of an application, or with 0 until none has any.
func (j *journal) await(ctx context.Context, name string, round, clusters int) error {
	w := &wait{round: round, clusters: clusters, done: make(chan struct{})}
	j.mu.Lock()
	j.waits[name] = append(j.waits[name], w)
	j.wake(name)
	j.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.over(name, w) {
			return nil
		}
		j.waits[name] = slices.DeleteFunc(j.waits[name], func(other *wait) bool { return other == w })
		return fmt.Errorf("round %d of application %s is in %d clusters, and should be in %d: %w", round, name,
			len(j.rounds[name]), clusters, context.Cause(ctx))
	}
}

// count is how many writes there were, and how many of them repeated the one before.
func (j *journal) count() (writes, repeated int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.writes, j.repeated
}

// record begins to keep arrivals, and with all every write.
func (j *journal) record(all bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keepArrivals, j.keepWrites = true, all
	j.arrivals, j.kept = nil, nil
}

// stop ends what record began, and returns what was kept.
func (j *journal) stop() ([]arrival, []simagent.Write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	arrivals, kept := j.arrivals, j.kept
	j.keepArrivals, j.keepWrites, j.arrivals, j.kept = false, false, nil, nil
	return arrivals, kept
}
