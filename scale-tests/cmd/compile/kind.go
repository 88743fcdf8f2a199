package main

import (
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/graphtest"
)

// kind is a kind of change: make picks applications at random and returns whose records change, and the edit; a nil edit
// if those picked cannot be changed so.
type kind struct {
	name string
	make func(*bench) (concerned []string, edit func())
}

var kinds = []kind{
	{"image", func(b *bench) ([]string, func()) {
		a := b.pick()
		if a.Clusters[home] == 0 {
			return nil, nil
		}
		return []string{a.ID()}, func() { a.Image = fmt.Sprint(b.rng.IntN(1 << 30)) }
	}},
	{"replicas", func(b *bench) ([]string, func()) {
		a := b.pick()
		if a.Clusters[home] == 0 {
			return nil, nil
		}
		return []string{a.ID()}, func() { a.Clusters[home] = next(a.Clusters[home]) }
	}},
	{"ready elsewhere", func(b *bench) ([]string, func()) {
		a := b.pick()
		if a.Clusters[far] == 0 || !b.called(a) {
			return nil, nil
		}
		return []string{a.ID()}, func() { a.Ready[far] = next(a.Ready[far]) }
	}},
	{"address nearby", func(b *bench) ([]string, func()) {
		a := b.pick()
		if a.Clusters[near] == 0 || !b.called(a) {
			return nil, nil
		}
		return []string{a.ID()}, func() { a.Ready[near] = next(a.Ready[near]) }
	}},
	{"policy", func(b *bench) ([]string, func()) {
		a := b.pick()
		if a.Clusters[home] == 0 {
			return nil, nil
		}
		other := b.pick().Namespace
		if other == a.Namespace || slices.Contains(a.Allowed, other) {
			return nil, nil
		}
		return []string{a.ID()}, func() {
			a.Allowed = append(a.Allowed, other)
			slices.Sort(a.Allowed)
		}
	}},
	{"dependency gone", func(b *bench) ([]string, func()) {
		a := b.pick()
		if a.Clusters[home] == 0 || len(a.Dependencies) == 0 {
			return nil, nil
		}
		gone := a.Dependencies[b.rng.IntN(len(a.Dependencies))]
		return []string{a.ID(), gone}, func() {
			a.Undepend(gone)
			b.callers[gone] = slices.DeleteFunc(b.callers[gone], func(c *graphtest.Application) bool { return c == a })
		}
	}},
	{"dependency new", func(b *bench) ([]string, func()) {
		a, d := b.pick(), b.pick()
		if a.Clusters[home] == 0 || a == d || slices.Contains(a.Dependencies, d.ID()) {
			return nil, nil
		}
		return []string{a.ID(), d.ID()}, func() {
			a.Dependencies = append(a.Dependencies, d.ID())
			slices.Sort(a.Dependencies)
			b.callers[d.ID()] = append(b.callers[d.ID()], a)
		}
	}},
}

func (b *bench) pick() *graphtest.Application {
	return b.world.Applications[b.ids[b.rng.IntN(len(b.ids))]]
}

// called tells whether an application is called in the zone: of others it is not told where they are.
func (b *bench) called(a *graphtest.Application) bool {
	return slices.ContainsFunc(b.callers[a.ID()], func(c *graphtest.Application) bool { return c.Clusters[home] > 0 })
}

// next is another number of pods, of about a dozen.
func next(pods int32) int32 { return 10 + (pods+1)%5 }
