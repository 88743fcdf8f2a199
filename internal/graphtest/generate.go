package graphtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// Graph is how a world is generated.
type Graph struct {
	Applications, Namespaces int
	// Clusters that the applications are dealt to, one each, and to a second one with the chance Twice. The first Home
	// applications of each ten run in the first cluster, whatever is drawn.
	Clusters []record.Cluster
	Twice    float64
	Home     int
	// Externals that every other application depends on one of.
	Externals int
	Seed      uint64
}

// Generate makes a world whose call graph has a heavy tail: few applications are called by very many. An application calls
// up to twelve others, half of them of its own namespace where there are any.
func Generate(g Graph) *World {
	w := &World{Clusters: map[string]record.Cluster{}, Applications: map[string]*Application{}}
	for _, c := range g.Clusters {
		w.Clusters[c.Name] = c
	}
	rng := rand.New(rand.NewPCG(g.Seed, 4))
	popular := rand.NewZipf(rng, 1.3, 4, uint64(g.Applications-1))
	ids := make([]string, g.Applications)
	for i := range ids {
		ids[i] = record.ServiceName(fmt.Sprintf("team-%04d", i%g.Namespaces), fmt.Sprintf("app-%05d", i))
	}
	for i, id := range ids {
		a := &Application{Namespace: id[:len("team-0000")], Name: id[len("team-0000/"):], Ports: HTTP(), Clusters: map[string]int32{}}
		for range rng.IntN(7) {
			if d := int(popular.Uint64()); d != i {
				a.Dependencies = append(a.Dependencies, ids[d])
			}
			if d := i%g.Namespaces + g.Namespaces*rng.IntN((g.Applications+g.Namespaces-1)/g.Namespaces); d != i && d < len(ids) {
				a.Dependencies = append(a.Dependencies, ids[d])
			}
		}
		a.Clusters[g.Clusters[rng.IntN(len(g.Clusters))].Name] = 1 + rng.Int32N(5)
		if rng.Float64() < g.Twice {
			a.Clusters[g.Clusters[rng.IntN(len(g.Clusters))].Name] = 1 + rng.Int32N(5)
		}
		if i%10 < g.Home {
			a.Clusters[g.Clusters[0].Name] = 3
		}
		w.Add(a)
	}
	w.addExternals(g)
	w.Allow()
	return w
}

// Allow lets every application be called from the namespaces that depend on it now, and from no others.
func (w *World) Allow() {
	callers := w.Callers()
	for id, a := range w.Applications {
		a.Allowed = nil
		for _, c := range callers[id] {
			if c.Namespace != a.Namespace {
				a.Allowed = append(a.Allowed, c.Namespace)
			}
		}
		slices.Sort(a.Allowed)
		a.Allowed = slices.Compact(a.Allowed)
	}
}

// Undepend takes a dependency away from an application.
func (a *Application) Undepend(id string) {
	a.Dependencies = slices.DeleteFunc(a.Dependencies, func(d string) bool { return d == id })
}
