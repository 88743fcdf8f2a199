package az

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// crowd are how many records a zone has beside those that change.
var crowd = []int{1_000, 10_000, 100_000}

// benchOwned is how many applications the cluster has that the shard owns; those beyond are in another's.
const benchOwned = 500

// BenchmarkChangeCompiled has one application change among n records of the zone: written, seen in the mirror, compiled for the
// cluster that the shard owns.
func BenchmarkChangeCompiled(b *testing.B) {
	for _, n := range crowd {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			z := newZoneStore(b)
			defer z.stop()
			writes := []store.Write{put(meshedCluster("mine").Record()), put(meshedCluster("other").Record())}
			for i := range n / 2 {
				cluster := "other"
				if i < benchOwned {
					cluster = "mine"
				}
				rev := revision(fmt.Sprint("a", i), "1", "")
				writes = append(writes, put(rev), put(bindingTo(rev, cluster, 1).Record()))
			}
			c := newCompiler()
			c.apply(z.write(b, writes...))
			c.own(meshedCluster("mine"))
			runtime.GC()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				rev := revision("a7", fmt.Sprint(2+i%2), "")
				shifts := c.apply(z.write(b, put(rev), put(bindingTo(rev, "mine", 1).Record())))
				if len(shifts) != 1 || len(shifts["mine"].edits) == 0 {
					b.Fatalf("got %d clusters changed, want mine alone", len(shifts))
				}
			}
		})
	}
}

// BenchmarkChangeScheduled has one assignment change among n records of the zone: written, seen in the mirror, decided over three
// clusters.
func BenchmarkChangeScheduled(b *testing.B) {
	for _, n := range crowd {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			z := newZoneStore(b)
			defer z.stop()
			var writes []store.Write
			for i := range 3 {
				writes = append(writes, put(meshedCluster(fmt.Sprint("c", i)).Record()))
			}
			assign := func(i int, replicas int32) (rev, assignment record.Record) {
				name := fmt.Sprint("a", i)
				rev = revision(name, "1", "")
				return rev, record.Assignment{Namespace: "n", Application: name, Zone: "z", Region: "r",
					Revision: rev.Version.String(), Replicas: replicas, Generation: mesh.Generation}.Record()
			}
			for i := range n / 5 { // with three bindings each
				rev, a := assign(i, 3)
				writes = append(writes, put(rev), put(a))
			}
			p := newPlanner(weights{}, func(record.Binding) bool { return true }, func(record.Key) bool { return false })
			u := z.write(b, writes...)
			p.apply(u.Changes)
			first := p.decide(u.New)
			p.apply(z.write(b, first.writes...).Changes)
			p.decide(z.mirror.Snapshot())
			runtime.GC()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				_, a := assign(7, int32(4+i%2))
				u := z.write(b, put(a))
				p.apply(u.Changes)
				if d := p.decide(u.New); len(d.writes) == 0 {
					b.Fatal("nothing was decided")
				}
			}
		})
	}
}
