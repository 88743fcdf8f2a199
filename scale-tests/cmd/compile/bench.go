package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// The clusters: home is the one that is compiled, near is on its network under another istiod, far behind a gateway.
const (
	zone = "z"
	home = "home"
	near = "near"
	far  = "far"
	// self names this process to its meter.
	self = "compile"
)

// bench is a generated world, a zone's store with its records, and the compiler of the zone's cluster.
type bench struct {
	options
	rng      *rand.Rand
	world    *graphtest.World
	ids      []string
	store    *graphtest.Store
	compiler *compile.Compiler
	objects  map[record.Key]*record.Record
	callers  map[string][]*graphtest.Application
}

func newBench(o options) (*bench, error) {
	s, err := graphtest.NewStore()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, rng: rand.New(rand.NewPCG(o.seed, 5)), world: newWorld(o), store: s, objects: map[record.Key]*record.Record{},
		compiler: compile.New(compile.Config{Zone: zone})}
	b.ids, b.callers = b.world.IDs(), b.world.Callers()
	return b, nil
}

// newWorld has all applications in home, but one in twenty that is far alone. One in five is far as well, one in ten near.
func newWorld(o options) *graphtest.World {
	clusters := []record.Cluster{graphtest.Cluster(home, zone, "us", "n1"), graphtest.Cluster(near, "y", "us", "n1"),
		graphtest.Cluster(far, "y", "us", "n2")}
	w := graphtest.Generate(graphtest.Graph{Applications: o.apps, Namespaces: max(o.apps/5, 1), Clusters: clusters[:1], Seed: o.seed})
	for _, c := range clusters[1:] {
		w.Clusters[c.Name] = c
	}
	for i, id := range w.IDs() {
		a := w.Applications[id]
		switch {
		case i%20 == 19:
			a.Clusters = map[string]int32{far: 3}
			a.Ready = map[string]int32{far: 3}
		case i%5 == 0:
			a.Clusters[far], a.Ready[far] = 3, 3
		case i%10 == 1:
			a.Clusters[near], a.Ready[near] = 3, 3
		}
	}
	return w
}

func (b *bench) measure(ctx context.Context) (*report, error) {
	u, err := b.store.Set(ctx, b.world.Zone(zone))
	if err != nil {
		return nil, fmt.Errorf("writing the zone's records: %w", err)
	}
	runtime.GC()
	if b.profile != "" {
		file, err := os.Create(b.profile)
		if err != nil {
			return nil, fmt.Errorf("making the profile: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return nil, fmt.Errorf("beginning the profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	meter := usage.NewMeter()
	meter.Add(self, os.Getpid())
	r := &report{Apps: b.apps, Records: len(u.Changes)}
	if err := b.full(u, meter, r); err != nil {
		return nil, err
	}
	if err := b.change(ctx, r); err != nil {
		return nil, err
	}
	r.Objects = len(b.objects)
	if r.ExtraHosts, r.MissingHosts, err = b.world.CompareSidecars(home, b.all); err != nil {
		return nil, err
	}
	peak, err := meter.PeakRSS()
	if err != nil {
		return nil, fmt.Errorf("reading the memory used: %w", err)
	}
	r.PeakMB = float64(peak[self]) / (1 << 20)
	return r, nil
}

// full compiles all that the cluster should hold.
func (b *bench) full(u store.Update, meter *usage.Meter, r *report) error {
	before, err := meter.CPU()
	if err != nil {
		return fmt.Errorf("reading the CPU time used: %w", err)
	}
	began := time.Now()
	b.compiler.Apply(u, began)
	shift := b.compiler.Own(home)[home]
	r.FullSeconds, r.Complete = latency.Seconds(time.Since(began)), shift.Complete
	after, err := meter.CPU()
	if err != nil {
		return fmt.Errorf("reading the CPU time used: %w", err)
	}
	r.FullCPU = latency.Seconds(after.Since(before).Sum(func(string) bool { return true }))
	b.take(shift)
	return nil
}

func (b *bench) all(yield func(*record.Record) bool) {
	for _, r := range b.objects {
		if !yield(r) {
			return
		}
	}
}

func (b *bench) take(s *compile.Shift) {
	if s == nil {
		return
	}
	for _, e := range s.Edits {
		if e.Record == nil {
			delete(b.objects, e.Key)
		} else {
			b.objects[e.Key] = e.Record
		}
	}
}

// change makes changes of each kind, one after another, and times the compiler.
func (b *bench) change(ctx context.Context, r *report) error {
	var all []time.Duration
	for _, k := range kinds {
		line := kindReport{Kind: k.name}
		var times []time.Duration
		for tries := 0; len(times) < b.changes && tries < 100*b.changes; tries++ {
			concerned, edit := k.make(b)
			if edit == nil {
				continue
			}
			u, err := b.step(ctx, concerned, edit)
			if err != nil {
				return fmt.Errorf("changing %s: %w", k.name, err)
			}
			if len(u.Changes) == 0 {
				return fmt.Errorf("changing %s: change %d of %v changes no record", k.name, len(times), concerned)
			}
			began := time.Now()
			shifts := b.compiler.Apply(u, began)
			times = append(times, time.Since(began))
			b.take(shifts[home])
			if s := shifts[home]; s != nil {
				line.Edits += len(s.Edits)
			}
		}
		if len(times) == 0 {
			return fmt.Errorf("changing %s: there is no application to change", k.name)
		}
		line.P50, line.P99 = latency.Milliseconds(latency.Percentile(times, 50)), latency.Milliseconds(latency.Percentile(times, 99))
		line.Changes = len(times)
		r.Kinds = append(r.Kinds, line)
		all = append(all, times...)
	}
	r.P50, r.P99 = latency.Milliseconds(latency.Percentile(all, 50)), latency.Milliseconds(latency.Percentile(all, 99))
	return nil
}

// step edits the world and brings the store to what follows for the applications concerned.
func (b *bench) step(ctx context.Context, concerned []string, edit func()) (store.Update, error) {
	before := map[record.Key]bool{}
	for _, id := range concerned {
		for _, r := range b.world.Of(zone, id, b.callers[id]) {
			before[r.Key] = true
		}
	}
	edit()
	var writes []store.Write
	for _, id := range concerned {
		for _, r := range b.world.Of(zone, id, b.callers[id]) {
			writes = append(writes, store.Write{Record: r})
			delete(before, r.Key)
		}
	}
	for key := range before {
		writes = append(writes, store.Write{Record: record.Record{Key: key}, Delete: true, Cause: record.CausePerson})
	}
	slices.SortFunc(writes, func(a, b store.Write) int { return a.Key.Compare(b.Key) })
	return b.store.Write(ctx, writes...)
}
