package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// failoverFigures say what the agents' logs came to.
type failoverFigures struct {
	Kills int `json:"kills"`
	// Owned is how many clusters the killed replicas owned, in sum: each gives one of the percentiles' durations.
	Owned int `json:"clusters_taken_over"`
	// Wrong, Lost and Repeated are those of the clusters of the zone.
	Wrong    int      `json:"wrong_writes"`
	Lost     int      `json:"lost_writes"`
	Repeated int      `json:"repeated_writes_in_zone"`
	Examples []string `json:"examples,omitempty"`
	// Staleness is that of the changes to the zone's clusters meanwhile, from when they were due.
	Staleness percentiles `json:"staleness"`
}

// runFailover kills replicas of one zone, the leader and the others in turn, while applications change.
func runFailover(ctx context.Context, f *federation) (result, error) {
	r := result{Scenario: failoverName, sizes: f.sizes(f.o.applications), failoverFigures: &failoverFigures{Kills: f.o.kills}}
	zone := f.topo.zones()[0]
	intents, err := f.intents(zone)
	if err != nil {
		return r, err
	}
	registry, err := f.openStore(nodeSpec{Zone: zone})
	if err != nil {
		return r, err
	}
	defer registry.Close()
	m, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	f.journal.record(true)
	s, stirred := f.stir(ctx, f.base, rand.New(rand.NewPCG(f.o.seed, 4)))
	for k := range f.o.kills {
		took, failed := f.killReplica(stirred, registry, zone, k)
		if err = failed; err != nil {
			err = fmt.Errorf("kill %d: %w", k+1, err)
			break
		}
		r.took = append(r.took, took...)
	}
	var changes []change
	if changes, r.stirFigures, err = s.stop(err); err != nil {
		return r, err
	}
	if err := errors.Join(f.catchUp(ctx, f.base), f.hub.settle(ctx, f.o.applications)); err != nil {
		return r, err
	}
	if r.cost, err = m.end(ctx); err != nil {
		return r, err
	}
	r.percentiles, r.Owned = percentilesOf(r.took), len(r.took)
	return r, f.judge(r.failoverFigures, intents, changes)
}

// intents are those of the zone's clusters, as of now.
func (f *federation) intents(zone string) (map[string]*intent, error) {
	out := map[string]*intent{}
	for _, c := range f.topo.clusters {
		if c.zone == zone {
			out[c.name] = newIntent()
		}
	}
	for _, a := range f.base {
		if err := f.intend(out, a, a.round); err != nil {
			return nil, err
		}
	}
	return out, f.intendGround(out)
}

// intendGround adds to the intents what clusters have beside applications.
func (f *federation) intendGround(intents map[string]*intent) error {
	for _, c := range f.topo.clusters {
		in := intents[c.name]
		if in == nil {
			continue
		}
		objects, err := c.ground(f.base)
		if err != nil {
			return err
		}
		for _, o := range objects {
			in.add(o.Record.Key, o.Record.Version, 0)
		}
	}
	return nil
}

// intend adds a round of an application to the intents of its clusters.
func (f *federation) intend(intents map[string]*intent, a *application, round int) error {
	for _, c := range f.topo.slice(a.slice) {
		in := intents[c.name]
		if in == nil {
			continue
		}
		objects, err := a.objects(c, round)
		if err != nil {
			return err
		}
		for _, o := range objects {
			in.add(o.Record.Key, o.Record.Version, round)
		}
	}
	return nil
}

// killReplica kills one replica, every other time the leader, and returns how long each of its clusters was without an
// owner that had compared digests. It returns a while after the zone is whole again; that replica may still have no cluster.
func (f *federation) killReplica(ctx context.Context, registry store.Registry, zone string, k int) ([]time.Duration, error) {
	before, err := f.whole(ctx, registry, zone)
	if err != nil {
		return nil, err
	}
	victim := before.Leader
	if k%2 == 1 {
		others := slices.DeleteFunc(slices.Sorted(maps.Keys(before.Members)), func(id string) bool { return id == before.Leader })
		victim = others[k/2%len(others)]
	}
	owned := f.ownedBy(before, zone, victim)
	killed, err := f.kill(ctx, victim)
	if err != nil {
		return nil, err
	}
	took, err := owned.await(ctx, killed, func(was, s simagent.Session) bool {
		return s.Number > was.Number && s.Fence.Fence > was.Fence.Fence
	})
	if err != nil {
		return nil, err
	}
	if err := f.start(ctx, victim); err != nil {
		return nil, err
	}
	if _, err := f.whole(ctx, registry, zone); err != nil {
		return nil, err
	}
	return took, linger(ctx, f.o.pause)
}

// judge holds the agents' logs against the intent.
func (f *federation) judge(figures *failoverFigures, intents map[string]*intent, changes []change) error {
	arrivals, writes := f.journal.stop()
	slices.SortFunc(changes, func(a, b change) int { return a.round - b.round })
	for _, c := range changes {
		if err := f.intend(intents, c.application, c.round); err != nil {
			return err
		}
	}
	holds := map[string]map[record.Key]record.Version{}
	for _, a := range f.agents {
		if intents[a.Name()] != nil {
			holds[a.Name()] = a.Holds()
		}
	}
	v := audit(intents, writes, holds)
	figures.Wrong, figures.Lost, figures.Repeated, figures.Examples = v.Wrong, v.Lost, v.Repeated, v.Examples
	arrivals = slices.DeleteFunc(arrivals, func(a arrival) bool { return intents[a.cluster] == nil })
	took, _ := staleness(changes, arrivals, func(*application) int { return 0 })
	figures.Staleness = percentilesOf(took)
	return nil
}
