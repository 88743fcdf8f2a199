package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// runStorm has all agents lose their sessions at once.
func runStorm(ctx context.Context, f *federation) (result, error) {
	r := result{Scenario: "storm", sizes: f.sizes(f.o.applications)}
	m, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	profiled := f.profile(ctx, "storm")
	dropped := make([]int, len(f.agents))
	begun := time.Now()
	for i, a := range f.agents {
		dropped[i] = a.Drop()
	}
	for i, a := range f.agents {
		s, err := a.Await(ctx, func(s simagent.Session) bool { return isSynced(s) && s.Number > dropped[i] })
		if err != nil {
			return r, fmt.Errorf("waiting for agent %s: %w", a.Name(), err)
		}
		r.took = append(r.took, s.Synced.Sub(begun))
	}
	if err := f.hub.settle(ctx, f.o.applications); err != nil {
		return r, err
	}
	if err := linger(ctx, f.o.idle/3); err != nil {
		return r, err
	}
	r.percentiles = percentilesOf(r.took)
	if r.cost, err = m.end(ctx); err != nil {
		return r, err
	}
	return r, profiled()
}
