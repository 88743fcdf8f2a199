package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/meridian-federation/meridian/internal/localkube"
)

// Scenarios that other files know by name.
const (
	churnName    = "churn"
	failoverName = "failover"
	scopeName    = "scope"
)

// scenario is one measurement.
type scenario struct {
	name string
	// loaded: it begins with all applications in their clusters, which it leaves so.
	loaded bool
	// fit makes the options of a federation that the scenario has for itself; without, it shares one.
	fit func(*options)
	run func(context.Context, *federation) (result, error)
}

// scenarios are all of them, in the order in which they are measured.
func scenarios() []scenario {
	return []scenario{
		{name: "fanout", run: runFanout},
		{name: "restart", loaded: true, run: runRestart},
		{name: "storm", loaded: true, run: runStorm},
		{name: churnName, loaded: true, run: runChurn},
		{name: failoverName, loaded: true, run: runFailover, fit: func(o *options) { o.replicas = cmp.Or(o.replicas, 3) }},
		{name: scopeName, run: runScope, fit: func(o *options) { o.placed, o.near = o.scopePlaced, true }},
	}
}

func names() []string {
	var out []string
	for _, s := range scenarios() {
		out = append(out, s.name)
	}
	return out
}

// measureAll runs the scenarios that were asked for, in as few federations as may be. After an error it returns the results
// of those before.
func measureAll(ctx context.Context, o options) ([]result, error) {
	root, err := localkube.FindRoot("")
	if err != nil {
		return nil, err
	}
	if err := localkube.Build(ctx, root, root+"/bin", func(text string) { o.say("  %s", text) }); err != nil {
		return nil, fmt.Errorf("building the API server: %w", err)
	}
	var out []result
	for _, round := range rounds(o.scenarios) {
		o := o
		if fit := round[0].fit; fit != nil {
			fit(&o)
		}
		o.replicas = cmp.Or(o.replicas, 1)
		results, err := measureRound(ctx, o, root, round)
		out = append(out, results...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// rounds deals scenarios to federations.
func rounds(names []string) (out [][]scenario) {
	var shared []scenario
	for _, s := range scenarios() {
		switch {
		case !slices.Contains(names, s.name):
		case s.fit != nil:
			out = append(out, []scenario{s})
		default:
			shared = append(shared, s)
		}
	}
	if len(shared) > 0 {
		out = slices.Insert(out, 0, shared)
	}
	return out
}

// measureRound runs scenarios in one federation. After an error it returns the results of those before.
func measureRound(ctx context.Context, o options, root string, list []scenario) (out []result, err error) {
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
	if err == nil {
		out, err = f.measure(fctx, list)
	}
	if err != nil && ctx.Err() == nil && fctx.Err() != nil {
		err = errors.Join(err, context.Cause(fctx))
	}
	return out, errors.Join(err, f.stop())
}

// measure runs scenarios. After an error it returns the results of those before.
func (f *federation) measure(ctx context.Context, list []scenario) ([]result, error) {
	if err := f.startAgents(ctx); err != nil {
		return nil, err
	}
	if err := f.within(ctx, f.allSynced); err != nil {
		return nil, fmt.Errorf("connecting the clusters: %w", err)
	}
	var out []result
	var load *loadFigures
	for _, s := range list {
		if s.loaded && f.base == nil {
			var err error
			if load, err = f.loadBase(ctx); err != nil {
				return out, fmt.Errorf("loading %d applications: %w", f.o.applications, err)
			}
		}
		f.o.say("measuring %s", s.name)
		var r result
		err := f.within(ctx, func(ctx context.Context) (err error) {
			r, err = s.run(ctx, f)
			return err
		})
		if err != nil {
			return out, fmt.Errorf("measuring %s: %w", s.name, err)
		}
		if s.loaded {
			r.Load = load
		}
		r.tell(f.o.tables)
		out = append(out, r)
	}
	return out, nil
}

// loadBase brings the applications to their clusters that scenarios share.
func (f *federation) loadBase(ctx context.Context) (*loadFigures, error) {
	f.o.say("loading %d applications", f.o.applications)
	apps := workload("app", f.o.applications, f.topo.slices, rand.New(rand.NewPCG(f.o.seed, 0)))
	var figures loadFigures
	err := f.within(ctx, func(ctx context.Context) (err error) {
		figures, _, err = f.load(ctx, apps)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.base = apps
	figures.tell(f.o.tables)
	return &figures, nil
}

// within bounds a part of the work, and ends what it began.
func (f *federation) within(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.o.timeout, fmt.Errorf("it took more than %s", f.o.timeout))
	defer f.endProfiles()
	defer cancel()
	return work(ctx)
}
