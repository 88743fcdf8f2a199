package compile_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// sizes are how many applications the clusters of the benchmarks have.
var sizes = []int{1_000, 10_000}

// benchWorld has all applications in one cluster, and a third of them on another network as well.
func benchWorld(n int) *graphtest.World {
	return graphtest.Generate(graphtest.Graph{Applications: n, Namespaces: n / 5, Home: 10, Seed: 1, Clusters: []record.Cluster{
		graphtest.Cluster("home", "z", "us", "n1"), graphtest.Cluster("far", "y", "us", "n2")}})
}

// BenchmarkFull compiles a cluster as a whole, as a shard does that takes it over.
func BenchmarkFull(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("apps=%d", n), func(b *testing.B) {
			w := benchWorld(n)
			z := newZone(b, "z")
			defer z.store.Close()
			z.set(w)
			var changes []store.Change
			for e := range z.store.Snapshot().Entries() {
				changes = append(changes, store.Change{Key: e.Key, New: e})
			}
			u := store.Update{New: z.store.Snapshot(), Delta: store.Delta{Changes: changes}}
			b.ReportAllocs()
			for b.Loop() {
				c := compile.New(compile.Config{Zone: "z"})
				c.Apply(u, epoch)
				if s := c.Own("home")["home"]; !s.Complete {
					b.Fatal("something is missing")
				}
			}
		})
	}
}

// BenchmarkChange has one record change among those of n applications.
func BenchmarkChange(b *testing.B) {
	for _, n := range sizes {
		w := benchWorld(n)
		z := startZone(b, w, "z", "home")
		defer z.store.Close()
		called := calledFarAway(b, w)
		changes := []struct {
			name  string
			write func(i int) store.Write
		}{
			{"binding", func(i int) store.Write {
				e, _ := z.store.Snapshot().Get(record.BindingKey(called.Namespace, called.Name, "home"))
				v, _ := record.DecodeBinding(e.Record)
				v.Replicas = int32(1 + i%2)
				return put(v.Record())
			}},
			{"location", func(i int) store.Write {
				e, _ := z.store.Snapshot().Get(record.LocationKey(called.Namespace, called.Name, "far", ""))
				v, _ := record.DecodeLocation(e.Record)
				v.Ready = []record.Ready{{Endpoints: int32(10 + i%2)}}
				return put(v.Record())
			}},
			{"policy", func(i int) store.Write {
				e, _ := z.store.Snapshot().Get(record.PolicyKey(called.Namespace, called.Name))
				v, _ := record.DecodePolicy(e.Record)
				v.TrustDomain = fmt.Sprintf("prod-%d.example.com", i%2)
				return put(v.Record())
			}},
		}
		for _, c := range changes {
			b.Run(fmt.Sprintf("%s/apps=%d", c.name, n), func(b *testing.B) {
				runtime.GC()
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					b.StopTimer()
					u, err := z.store.Write(b.Context(), c.write(i))
					if err != nil {
						b.Fatal(err)
					}
					i++
					b.StartTimer()
					z.compiler.Apply(u, epoch)
				}
			})
		}
	}
}

// calledFarAway is an application that runs in both clusters and is called in home.
func calledFarAway(b *testing.B, w *graphtest.World) *graphtest.Application {
	b.Helper()
	callers := w.Callers()
	for _, id := range w.IDs() {
		if a := w.Applications[id]; a.Clusters["far"] > 0 && a.Clusters["home"] > 0 && len(callers[id]) > 0 {
			return a
		}
	}
	b.Fatal("no application is called and far away")
	return nil
}
