package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// contender is one of the things that are compared: what each of so many callers does again and again.
type contender struct {
	name string
	// allocations are how many one turn of do makes.
	allocations int
	// do makes the n-th ones, and n counts over all callers and rounds.
	do func(ctx context.Context, n int) error
}

// sample is what a contender has done in all its turns.
type sample struct {
	first       int // the number of its first call
	allocations int
	elapsed     time.Duration
	latencies   []time.Duration // of calls
	rates       []float64       // of each turn, in allocations per second
	cpu         usage.CPU
}

// rate is allocations per second over all turns.
func (s *sample) rate() float64 { return float64(s.allocations) / s.elapsed.Seconds() }

// calls is the number of the next call.
func (s *sample) calls() int { return s.first + len(s.latencies) }

// take has the callers work for a slice, each on one call after the other, and adds what they did.
func (s *sample) take(ctx context.Context, c contender, callers int, slice time.Duration, meter *usage.Meter) error {
	before, err := meter.CPU()
	if err != nil {
		return err
	}
	begun := time.Now()
	latencies, err := call(ctx, c, callers, s.calls(), func() bool { return time.Since(begun) < slice })
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	elapsed := time.Since(begun)
	after, err := meter.CPU()
	if err != nil {
		return err
	}
	done := len(latencies) * c.allocations
	s.latencies = append(s.latencies, latencies...)
	s.allocations, s.elapsed = s.allocations+done, s.elapsed+elapsed
	s.rates = append(s.rates, float64(done)/elapsed.Seconds())
	if s.cpu == nil {
		s.cpu = usage.CPU{}
	}
	for name, d := range after.Since(before) {
		s.cpu[name] += d
	}
	return nil
}

// call has the callers call while more is true; calls are numbered from first. It returns how long each took.
func call(ctx context.Context, c contender, callers, first int, more func() bool) ([]time.Duration, error) {
	var next atomic.Int64
	took := make([][]time.Duration, callers)
	g, ctx := errgroup.WithContext(ctx)
	for i := range took {
		g.Go(func() error {
			for more() {
				at := time.Now()
				if err := c.do(ctx, first+int(next.Add(1))-1); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(at))
			}
			return nil
		})
	}
	err := g.Wait()
	return slices.Concat(took...), err
}
