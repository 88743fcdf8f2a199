package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/arrival"
	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// stepWithin bounds one step, so that a run that is stuck says what is missing.
const stepWithin = 10 * time.Minute

// harness is the name under which this program's own CPU time appears.
const harness = "harness"

// result is what one step took.
type result struct {
	// wall is the time from the first write's start until the last object was seen in the last cluster.
	wall time.Duration
	// latencies are those of each application: from its own write's start until its objects were seen in all clusters.
	latencies []time.Duration
	// begun is when each application's write was begun.
	begun map[string]time.Time
	// cpu is the time that each process used, from the first write until all was settled; others is what the rest of
	// the machine used meanwhile, elapsed how long that was.
	cpu     usage.CPU
	others  time.Duration
	elapsed time.Duration
}

// bench runs steps against one target.
type bench struct {
	target  target
	watch   *arrival.Watch
	meter   *usage.Meter
	workers int
	// present is the number of applications in the clusters.
	present int
}

func newBench(t target, w *arrival.Watch, m *usage.Meter, workers int) *bench {
	m.Add(harness, os.Getpid())
	return &bench{target: t, watch: w, meter: m, workers: workers}
}

// run does one step, and returns when all clusters have seen it and all is settled.
func (b *bench) run(ctx context.Context, s step) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	phase := b.together
	if s.oneByOne {
		phase = b.oneByOne
	}
	r, err := b.measured(ctx, b.after(s.verb, len(s.list)), func() (result, error) { return phase(ctx, s.verb, s.list) })
	if err != nil {
		return r, fmt.Errorf("%s applications: %w", s.verb, err)
	}
	return r, nil
}

// oneByOne goes on to the next application when all clusters are right for the one before.
func (b *bench) oneByOne(ctx context.Context, v verb, list []app) (result, error) {
	all := result{begun: map[string]time.Time{}}
	for i := range list {
		one, err := b.together(ctx, v, list[i:i+1])
		if err != nil {
			return all, err
		}
		all.wall += one.wall
		all.latencies = append(all.latencies, one.latencies...)
		maps.Copy(all.begun, one.begun)
	}
	return all, nil
}

// after is the number of applications that are present after a step.
func (b *bench) after(v verb, n int) int {
	switch v {
	case create:
		b.present += n
	case remove:
		b.present -= n
	}
	return b.present
}

// together writes all applications, and waits for the clusters.
func (b *bench) together(ctx context.Context, v verb, list []app) (r result, err error) {
	expected := present(list)
	if v == remove {
		expected = gone(list)
	}
	expectation := b.watch.Expect(expected)
	start := time.Now()
	if r.begun, err = write(ctx, b.target, v, list, min(b.workers, len(list))); err != nil {
		return r, err
	}
	reached, err := expectation.Wait(ctx)
	if err != nil {
		return r, err
	}
	for name, at := range reached {
		r.latencies = append(r.latencies, at.Sub(r.begun[name]))
		r.wall = max(r.wall, at.Sub(start))
	}
	return r, nil
}

// measured runs a step with its CPU time.
func (b *bench) measured(ctx context.Context, present int, phase func() (result, error)) (result, error) {
	before, machineBefore, err := b.read()
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	r, err := phase()
	if err != nil {
		return r, err
	}
	if err := b.target.settle(ctx, present); err != nil {
		return r, err
	}
	r.elapsed = time.Since(start)
	after, machineAfter, err := b.read()
	if err != nil {
		return r, err
	}
	r.cpu = after.Since(before)
	ours := r.cpu.Sum(func(string) bool { return true })
	r.others = max(0, machineAfter-machineBefore-ours)
	return r, nil
}

func (b *bench) read() (usage.CPU, time.Duration, error) {
	cpu, err := b.meter.CPU()
	if err != nil {
		return nil, 0, err
	}
	machine, err := usage.Machine()
	return cpu, machine, err
}
