package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// memoryEvery is how often memory is read while it is watched, at least ten times.
const memoryEvery = 5 * time.Second

// memoryGrowth is how much larger the last minute's memory may be than the second's.
const memoryGrowth = 1.1

// churnFigures say what memory did.
type churnFigures struct {
	// Second and last minutes: the means of what Meridian's tiers held together, in MiB, and the most.
	SecondMinute    float64 `json:"second_minute_rss_mb"`
	LastMinute      float64 `json:"last_minute_rss_mb"`
	SecondMinuteMax float64 `json:"second_minute_max_rss_mb"`
	LastMinuteMax   float64 `json:"last_minute_max_rss_mb"`
	Bounded         bool    `json:"rss_bounded"`
	memory          []memoryReading
}

type memoryReading struct {
	after time.Duration
	tiers map[string]float64
}

// runChurn changes applications at a steady rate.
func runChurn(ctx context.Context, f *federation) (result, error) {
	r := result{Scenario: "churn", sizes: f.sizes(f.o.applications), Churn: &churnFigures{}}
	rng := rand.New(rand.NewPCG(f.o.seed, 2))
	f.journal.record(false)
	m, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	turn, err := f.beginRotation(ctx)
	if err != nil {
		return r, err
	}
	profiled := f.profile(ctx, churnName)
	s, stirred := f.stir(ctx, f.base, rng)
	during, whole := errgroup.WithContext(stirred)
	during.Go(func() error { return f.watchMemory(whole, f.o.duration, r.Churn) })
	during.Go(func() error { return turn.run(whole) })
	var changes []change
	if changes, r.stirFigures, err = s.stop(during.Wait()); err != nil {
		return r, err
	}
	if err := f.catchUp(ctx, f.base); err != nil {
		return r, err
	}
	if r.rotationFigures, err = turn.end(ctx); err != nil {
		return r, err
	}
	if r.cost, err = m.end(ctx); err != nil {
		return r, err
	}
	arrivals, _ := f.journal.stop()
	var missing int
	if r.took, missing = staleness(changes, arrivals, f.clusters); missing > 0 {
		return r, fmt.Errorf("%d changes never came to a cluster", missing)
	}
	r.percentiles = percentilesOf(r.took)
	r.Churn.judge(f.o.duration)
	return r, profiled()
}

// catchUp waits until all applications are everywhere at their last round.
func (f *federation) catchUp(ctx context.Context, apps []*application) error {
	for _, a := range apps {
		if err := f.journal.await(ctx, a.name, a.round, f.clusters(a)); err != nil {
			return err
		}
	}
	return nil
}

// watchMemory reads memory for so long.
func (f *federation) watchMemory(ctx context.Context, d time.Duration, c *churnFigures) error {
	begun, every := time.Now(), min(memoryEvery, d/10)
	for time.Since(begun) < d {
		tiers, err := f.rss()
		if err != nil {
			return err
		}
		c.memory = append(c.memory, memoryReading{time.Since(begun), tiers})
		if err := linger(ctx, min(every, max(d-time.Since(begun), 0))); err != nil {
			return err
		}
	}
	return nil
}

// judge compares the last minute with the second. A shorter run has fifths instead of minutes.
func (c *churnFigures) judge(d time.Duration) {
	minute := min(time.Minute, d/5)
	stretch := func(from, to time.Duration) (mean, most float64) {
		n := 0
		for _, m := range c.memory {
			if m.after < from || m.after > to {
				continue
			}
			sum := m.tiers[tierGlobal] + m.tiers[tierRegions] + m.tiers[tierZones]
			mean, most, n = mean+sum, max(most, sum), n+1
		}
		return round(mean / float64(max(n, 1))), round(most)
	}
	c.SecondMinute, c.SecondMinuteMax = stretch(minute, 2*minute)
	c.LastMinute, c.LastMinuteMax = stretch(d-minute, d)
	c.Bounded = c.LastMinute <= memoryGrowth*c.SecondMinute
}
