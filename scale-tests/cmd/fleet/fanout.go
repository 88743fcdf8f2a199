package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// fanoutFigures add to a result how long the way to a single cluster took.
type fanoutFigures struct {
	Arrival percentiles `json:"arrival"`
	// Update is how long a changed image took to the last cluster.
	Update percentiles `json:"update"`
}

// runFanout places applications one after another, each in all clusters of one slice, and then changes each.
func runFanout(ctx context.Context, f *federation) (result, error) {
	r := result{Scenario: "fanout", sizes: f.sizes(1)}
	var err error
	if r.Idle, err = f.idle(ctx); err != nil {
		return r, err
	}
	apps := workload("fan", f.o.repeats, f.topo.slices, rand.New(rand.NewPCG(f.o.seed, 1)))
	for _, a := range apps {
		a.dependencies = nil
	}
	f.journal.record(false)
	m, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	profiled := f.profile(ctx, "fanout")
	changes := make([]change, 0, len(apps))
	for _, a := range apps {
		c, took, err := f.place(ctx, a)
		if err != nil {
			return r, err
		}
		r.took = append(r.took, took)
		changes = append(changes, c)
	}
	if r.cost, err = m.end(ctx); err != nil {
		return r, err
	}
	r.percentiles = percentilesOf(r.took)
	arrivals, _ := f.journal.stop()
	single, missing := staleness(changes, arrivals, f.clusters)
	if missing > 0 {
		return r, fmt.Errorf("%d arrivals were not seen", missing)
	}
	r.Fanout = &fanoutFigures{Arrival: percentilesOf(single)}
	var updates []time.Duration
	for _, a := range apps {
		took, err := f.update(ctx, a)
		if err != nil {
			return r, err
		}
		updates = append(updates, took)
	}
	r.Fanout.Update = percentilesOf(updates)
	if err := profiled(); err != nil {
		return r, err
	}
	return r, f.removeAll(ctx, apps)
}

// place creates an application, and returns how long it took to the last of its clusters.
func (f *federation) place(ctx context.Context, a *application) (change, time.Duration, error) {
	body, err := a.resource(0)
	if err != nil {
		return change{}, 0, err
	}
	c := change{application: a, at: time.Now()}
	if err := f.hub.create(ctx, body); err != nil {
		return c, 0, err
	}
	err = f.journal.await(ctx, a.name, 0, f.clusters(a))
	return c, time.Since(c.at), err
}

// update changes an application's image, and returns how long it took to the last of its clusters.
func (f *federation) update(ctx context.Context, a *application) (time.Duration, error) {
	a.round++
	begun := time.Now()
	if err := f.hub.setRound(ctx, a, a.round); err != nil {
		return 0, err
	}
	err := f.journal.await(ctx, a.name, a.round, f.clusters(a))
	return time.Since(begun), err
}

// removeAll removes applications from the hub and waits until they are gone everywhere.
func (f *federation) removeAll(ctx context.Context, apps []*application) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(f.hub.writers)
	for _, a := range apps {
		g.Go(func() error { return f.hub.remove(gctx, a) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("removing applications: %w", err)
	}
	for _, a := range apps {
		if err := f.journal.await(ctx, a.name, 0, 0); err != nil {
			return err
		}
	}
	return nil
}
