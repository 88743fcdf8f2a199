package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
)

// loadFigures say how long a workload took to come to all its clusters, and the hub to know it.
type loadFigures struct {
	Arrived float64 `json:"arrived_s"`
	Settled float64 `json:"settled_s"`
	cost
}

// load creates applications, waits until they are in their clusters, and until the hub knows. A change counts from the
// request.
func (f *federation) load(ctx context.Context, apps []*application) (loadFigures, []change, error) {
	var figures loadFigures
	m, err := f.begin(ctx)
	if err != nil {
		return figures, nil, err
	}
	changes, err := f.createAll(ctx, apps)
	if err != nil {
		return figures, nil, err
	}
	if err := f.catchUp(ctx, apps); err != nil {
		return figures, nil, err
	}
	figures.Arrived = latency.Seconds(time.Since(m.begun))
	if err := f.hub.settle(ctx, len(apps)); err != nil {
		return figures, nil, err
	}
	figures.Settled = latency.Seconds(time.Since(m.begun))
	figures.cost, err = m.end(ctx)
	return figures, changes, err
}

// createAll creates applications at their first round.
func (f *federation) createAll(ctx context.Context, apps []*application) ([]change, error) {
	changes := make([]change, len(apps))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.hub.writers)
	for i, a := range apps {
		g.Go(func() error {
			body, err := a.resource(0)
			if err != nil {
				return err
			}
			changes[i] = change{application: a, at: time.Now()}
			return f.hub.create(ctx, body)
		})
	}
	return changes, g.Wait()
}
