package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/meridian-federation/meridian/internal/localkube"
)

const failoverName = "failover"

// scenario is one measurement.
type scenario struct {
	name string
	// loaded: it begins with all applications in their clusters, which it leaves so.
	loaded bool
	// alone: it has a federation of its own.
	alone bool
	run   func(context.Context, *federation) (result, error)
}

// scenarios are all of them, in the order in which they share a federation.
func scenarios() []scenario {
	return []scenario{
		{name: "fanout", run: runFanout},
		{name: "restart", loaded: true, run: runRestart},
		{name: "storm", loaded: true, run: runStorm},
		{name: "churn", loaded: true, run: runChurn},
		{name: failoverName, loaded: true, run: runFailover},
		{name: "scope", alone: true, run: runScope},
	}
}

func names() []string {
	var out []string
	for _, s := range scenarios() {
		out = append(out, s.name)
	}
	return out
}

// measureAll runs the scenarios that were asked for, in as few federations as may be.
func measureAll(ctx context.Context, o options) ([]result, error) {
	root, err := localkube.FindRoot("")
	if err != nil {
		return nil, err
	}
	if err := localkube.Build(ctx, root, root+"/bin", func(text string) { o.say("  %s", text) }); err != nil {
		return nil, fmt.Errorf("building the API server: %w", err)
	}
	var shared []scenario
	var rounds [][]scenario
	for _, s := range scenarios() {
		switch {
		case !slices.Contains(o.scenarios, s.name):
		case s.alone:
			rounds = append(rounds, []scenario{s})
		default:
			shared = append(shared, s)
		}
	}
	if len(shared) > 0 {
		rounds = slices.Insert(rounds, 0, shared)
	}
	var out []result
	for _, round := range rounds {
		o := o
		if round[0].alone {
			o.placed, o.near = o.scopePlaced, true
		}
		results, err := measureRound(ctx, o, root, round)
		if err != nil {
			return nil, err
		}
		out = append(out, results...)
	}
	return out, nil
}

// measureRound runs scenarios in one federation.
func measureRound(ctx context.Context, o options, root string, list []scenario) (_ []result, err error) {
	dir, err := os.MkdirTemp("", "meridian-fleet-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if o.keep {
		o.say("data and logs are in %s", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	o.say("starting %d regions, %d zones and %d clusters", o.regions, o.zones, o.clusters)
	f, fctx, err := newFederation(ctx, o, root, dir)
	var out []result
	if err == nil {
		out, err = f.measure(fctx, list)
	}
	if err != nil && ctx.Err() == nil && fctx.Err() != nil {
		err = errors.Join(err, context.Cause(fctx))
	}
	return out, errors.Join(err, f.stop())
}

func (f *federation) measure(ctx context.Context, list []scenario) ([]result, error) {
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	var out []result
	var load *loadFigures
	for _, s := range list {
		if s.loaded && f.base == nil {
			f.o.say("loading %d applications", f.o.applications)
			apps := workload("app", f.o.applications, f.topo.slices, rand.New(rand.NewPCG(f.o.seed, 0)))
			figures, _, err := f.load(ctx, apps)
			if err != nil {
				return nil, fmt.Errorf("loading %d applications: %w", len(apps), err)
			}
			f.base, load = apps, &figures
			figures.tell(f.o.tables)
		}
		f.o.say("measuring %s", s.name)
		r, err := f.within(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", s.name, err)
		}
		if s.loaded {
			r.Load = load
		}
		r.tell(f.o.tables)
		out = append(out, r)
	}
	return out, nil
}

// within bounds a scenario.
func (f *federation) within(ctx context.Context, s scenario) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.o.timeout, fmt.Errorf("it took more than %s", f.o.timeout))
	defer cancel()
	return s.run(ctx, f)
}
