package main

import (
	"context"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
)

// loadFigures say how long a workload took to come to all its clusters, and the hub to know it.
type loadFigures struct {
	Arrived float64 `json:"arrived_s"`
	Settled float64 `json:"settled_s"`
	cost
}

// load creates applications, waits until they are in their clusters, and until the hub knows.
func (f *federation) load(ctx context.Context, apps []*application) (loadFigures, error) {
	var figures loadFigures
	list := make([]resource, len(apps))
	for i, a := range apps {
		var err error
		if list[i], err = a.resource(0); err != nil {
			return figures, err
		}
	}
	m, err := f.begin(ctx)
	if err != nil {
		return figures, err
	}
	if err := f.hub.createAll(ctx, list); err != nil {
		return figures, err
	}
	for _, a := range apps {
		if err := f.journal.await(ctx, a.name, 0, f.clusters(a)); err != nil {
			return figures, err
		}
	}
	figures.Arrived = latency.Seconds(time.Since(m.begun))
	if err := f.hub.settle(ctx, len(apps)); err != nil {
		return figures, err
	}
	figures.Settled = latency.Seconds(time.Since(m.begun))
	figures.cost, err = m.end(ctx)
	return figures, err
}
