package arrival

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/object"
)

// Gone is the version of an object that is not there.
const Gone = ""

// Goal is what every cluster should have of one application.
type Goal struct {
	Name string
	// Versions of the objects as their annotation says them, or Gone.
	Versions map[object.ID]string
}

// Expectation is some goals that are waited for.
type Expectation struct {
	watch  *Watch
	wishes map[place]*wish
	goals  []*goal
	open   int // goals that are not reached
	done   chan struct{}
}

type wish struct {
	goal    *goal
	version string
	met     bool
}

type goal struct {
	name string
	open int
	at   time.Time // when it was reached
}

// Expect begins to wait for goals, in place of those expected before.
func (w *Watch) Expect(goals []Goal) *Expectation {
	e := &Expectation{watch: w, wishes: map[place]*wish{}, open: len(goals), done: make(chan struct{})}
	for _, g := range goals {
		state := &goal{name: g.Name, open: w.clusters * len(g.Versions)}
		e.goals = append(e.goals, state)
		for id, version := range g.Versions {
			for cluster := range w.clusters {
				e.wishes[place{cluster, id}] = &wish{goal: state, version: version}
			}
		}
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = e
	for p := range e.wishes {
		e.note(p, w.seen[p], now)
	}
	return e
}

// note takes in what an object is now. Once all goals were reached at one moment, they stay so. The watch's lock is held.
func (e *Expectation) note(p place, version string, now time.Time) {
	w, ok := e.wishes[p]
	if !ok || e.open == 0 || w.met == (w.version == version) {
		return
	}
	w.met = !w.met
	switch {
	case !w.met:
		if w.goal.open == 0 {
			e.open++
		}
		w.goal.open++
	default:
		w.goal.open--
		if w.goal.open == 0 {
			w.goal.at = now
			e.open--
		}
	}
	if e.open == 0 {
		close(e.done)
	}
}

// Wait returns when every cluster has had all that was expected, with the time at which each goal was reached.
func (e *Expectation) Wait(ctx context.Context) (map[string]time.Time, error) {
	select {
	case <-e.done:
	case <-e.watch.failed:
		if ctx.Err() == nil {
			return nil, errors.New("a cluster is watched no more")
		}
		return nil, ctx.Err()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the clusters: %s: %w", e.missing(), ctx.Err())
	}
	at := make(map[string]time.Time, len(e.goals))
	for _, g := range e.goals {
		at[g.name] = g.at
	}
	return at, nil
}

// missing says what is still waited for.
func (e *Expectation) missing() string {
	e.watch.mu.Lock()
	defer e.watch.mu.Unlock()
	for p, w := range e.wishes {
		if !w.met {
			return fmt.Sprintf("%d of %d are not there, such as %s in cluster %d, which has version %q and should have %q",
				e.open, len(e.goals), p.id.Short(), p.cluster+1, e.watch.seen[p], w.version)
		}
	}
	return "nothing"
}
