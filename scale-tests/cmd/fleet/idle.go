package main

import (
	"context"
	"time"
)

// idleFigures are the CPU time of tiers in percent of one core, over Seconds in which nothing happened.
type idleFigures struct {
	Seconds float64            `json:"seconds"`
	Percent map[string]float64 `json:"idle_percent"`
	// Sum is that of all tiers of Meridian's: without etcd, the hub's API server and the agents, which share a process with
	// the harness.
	Sum float64 `json:"sum_percent"`
}

// idle measures for a while that begins once the dust has settled.
func (f *federation) idle(ctx context.Context) (*idleFigures, error) {
	if err := linger(ctx, f.o.idle/3); err != nil {
		return nil, err
	}
	m, err := f.begin(ctx)
	if err != nil {
		return nil, err
	}
	profiled := f.profile(ctx, "idle")
	if err := linger(ctx, f.o.idle); err != nil {
		return nil, err
	}
	c, err := m.end(ctx)
	if err != nil {
		return nil, err
	}
	if err := profiled(); err != nil {
		return nil, err
	}
	out := &idleFigures{Seconds: c.Wall, Percent: map[string]float64{}}
	for tier, s := range c.CPU {
		out.Percent[tier] = round(100 * s / c.Wall)
	}
	for _, tier := range []string{tierGlobal, tierRegions, tierZones} {
		out.Sum = round(out.Sum + out.Percent[tier])
	}
	return out, nil
}

// linger lets time pass.
func linger(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
