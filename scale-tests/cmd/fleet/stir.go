package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// stirFigures say how applications were changed.
type stirFigures struct {
	Changes int `json:"changes"`
	// Merged are changes that became one with an earlier one of the same application, which was not written yet.
	Merged int `json:"merged_changes"`
	// Rate is how many changes a second were written.
	Rate float64 `json:"rate_per_s"`
	// Acknowledged is the part of the way that ends with the API server's acknowledgement, from when a change was due.
	Acknowledged percentiles `json:"acknowledged"`
}

// stirring changes applications until it is stopped, one after another, each at its time. A change that is due while one of
// the same application waits, or is being written, merges into that, as what a person saves meanwhile would: so the backlog
// of a hub that does not keep up is bounded.
type stirring struct {
	apps  []*application
	rate  float64 // changes a second
	write func(context.Context, *application, int) error

	begun   time.Time
	stopped chan struct{}
	group   *errgroup.Group
	due     chan change // with room for one of each application

	mu           sync.Mutex // guards all below
	waiting      map[*application]bool
	changes      []change
	acknowledged []time.Duration
	merged       int
}

// stir begins to change applications. Nobody else changes them meanwhile. The context that it returns ends when that fails,
// which is then its cause.
func (f *federation) stir(ctx context.Context, apps []*application, rng *rand.Rand) (*stirring, context.Context) {
	s := &stirring{rate: f.o.rate, write: f.hub.setRound}
	for _, i := range rng.Perm(len(apps)) {
		s.apps = append(s.apps, apps[i])
	}
	return s, s.start(ctx, f.hub.writers)
}

func (s *stirring) start(ctx context.Context, writers int) context.Context {
	s.begun, s.stopped, s.due, s.waiting = time.Now(), make(chan struct{}), make(chan change, len(s.apps)), map[*application]bool{}
	s.group, ctx = errgroup.WithContext(ctx)
	s.group.Go(func() error {
		s.schedule(ctx)
		return nil
	})
	for range writers {
		s.group.Go(func() error { return s.work(ctx) })
	}
	return ctx
}

// schedule hands out changes when they are due.
func (s *stirring) schedule(ctx context.Context) {
	defer close(s.due)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		at := s.begun.Add(time.Duration(float64(i+1) / s.rate * float64(time.Second)))
		timer.Reset(time.Until(at))
		select {
		case <-timer.C:
		case <-s.stopped:
			return
		case <-ctx.Done():
			return
		}
		s.take(change{application: s.apps[i%len(s.apps)], at: at})
	}
}

func (s *stirring) take(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[c.application] {
		s.merged++
		return
	}
	s.waiting[c.application] = true
	s.due <- c // there is room
}

// work writes what is due, until nothing more will be.
func (s *stirring) work(ctx context.Context) error {
	for c := range s.due {
		c.application.round++
		c.round = c.application.round
		if err := s.write(ctx, c.application, c.round); err != nil {
			return err
		}
		s.wrote(c)
	}
	return nil
}

func (s *stirring) wrote(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, c.application)
	s.changes = append(s.changes, c)
	s.acknowledged = append(s.acknowledged, time.Since(c.at))
}

// stop ends it once all that is due is written, and returns the changes in the order in which the hub acknowledged them. err
// is what the work meanwhile came to.
func (s *stirring) stop(err error) ([]change, *stirFigures, error) {
	close(s.stopped)
	if own := s.group.Wait(); own != nil && !errors.Is(err, own) {
		err = errors.Join(err, own)
	}
	return s.changes, &stirFigures{Changes: len(s.changes), Merged: s.merged, Acknowledged: percentilesOf(s.acknowledged),
		Rate: round(float64(len(s.changes)) / time.Since(s.begun).Seconds())}, err
}
