package main

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/scale-tests/internal/arrival"
	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
)

// side is what was measured of one of the two.
type side struct {
	results map[string]result // by step
	// way is where the time went of the applications of a step: medians over them, of the time since an application's
	// write was begun.
	way map[string][]stop
	// peak is the most memory of each process, in bytes.
	peak map[string]int64
}

// referenceName begins the names of the reference's API servers.
const referenceName = "reference"

// runReference measures the applications' objects written straight to clusters of their own.
func runReference(ctx context.Context, o options, f *fleet.Fleet) (side, error) {
	members, err := f.Members(ctx, referenceName, o.clusters)
	if err != nil {
		return side{}, err
	}
	configs := restConfigs(members)
	r, err := newReference(configs)
	if err != nil {
		return side{}, err
	}
	ns, err := namespaceObject()
	if err != nil {
		return side{}, err
	}
	for lane := range configs {
		if err := r.apply(ctx, lane, ns); err != nil {
			return side{}, fmt.Errorf("making the namespace: %w", err)
		}
	}
	return measure(ctx, o, f, r, configs, nil)
}

// runMeridian measures the applications given to a hub.
func runMeridian(ctx context.Context, o options, f *fleet.Fleet) (side, error) {
	fed, err := f.Federation(ctx, o.clusters, o.workers)
	if err != nil {
		return side{}, err
	}
	if err := local.Apply(ctx, fed.Hub.RESTConfig(), []byte(namespaceManifest)); err != nil {
		return side{}, fmt.Errorf("making the namespace: %w", err)
	}
	h, err := newHub(fed.Hub.RESTConfig())
	if err != nil {
		return side{}, err
	}
	return measure(ctx, o, f, h, restConfigs(fed.Members), fed)
}

func restConfigs(clusters []*localkube.Cluster) []*rest.Config {
	out := make([]*rest.Config, len(clusters))
	for i, c := range clusters {
		out[i] = c.RESTConfig()
	}
	return out
}

// step is one part of the measurement. Its result is kept if it has a name.
type step struct {
	name     string
	verb     verb
	list     []app
	oneByOne bool
}

// Names of the steps whose results are kept.
const (
	stepCreate  = "create"
	stepSingles = "singles"
	stepUpdate  = "update"
	stepDelete  = "delete"
)

// steps are the measurement in its order. The anchor keeps the namespace in the clusters all the time.
func steps(o options) ([]step, error) {
	var lists [6][]app
	for i, l := range []struct {
		prefix     string
		n, version int
	}{{"anchor", 1, 1}, {"warm", o.warm, 1}, {"warm", o.warm, 2}, {"app", o.n, 1}, {"single", o.singles, 1}, {"app", o.n, 2}} {
		var err error
		if lists[i], err = apps(l.prefix, l.n, l.version); err != nil {
			return nil, err
		}
	}
	anchor, warm, warmer, created, singles, updated := lists[0], lists[1], lists[2], lists[3], lists[4], lists[5]
	return []step{
		{"", create, anchor, false},
		{"", create, warm, false},
		{"", update, warmer, false},
		{"", remove, warmer, false},
		{stepCreate, create, created, false},
		{stepSingles, create, singles, true},
		{"", remove, singles, false},
		{stepUpdate, update, updated, false},
		{stepDelete, remove, updated, false},
	}, nil
}

// measure goes through all steps. fed is the federation that is measured, nil for the reference.
func measure(ctx context.Context, o options, f *fleet.Fleet, t target, clusters []*rest.Config, fed *fleet.Federation) (s side, err error) {
	list, err := steps(o)
	if err != nil {
		return s, err
	}
	watch, err := arrival.Start(ctx, clusters, kinds(list[0].list[0]))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, watch.Stop()) }()
	b := newBench(t, watch, f.Meter, o.workers)
	p := &profiler{dir: o.profiles, step: o.profiled, federation: fed}
	s.results, s.way = map[string]result{}, map[string][]stop{}
	for _, step := range list {
		o.say("  %s %d applications", step.verb, len(step.list))
		profiles := p.start(ctx, step.name)
		r, err := b.run(ctx, step)
		if err := errors.Join(err, profiles()); err != nil {
			return s, err
		}
		o.detail(step, r)
		if step.name == "" {
			continue
		}
		s.results[step.name] = r
		if fed != nil && step.verb != remove {
			if s.way[step.name], err = way(ctx, fed.Hub.RESTConfig(), r.begun); err != nil {
				return s, err
			}
		}
	}
	s.peak, err = f.Meter.PeakRSS()
	return s, err
}
