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

// BenchmarkChangeScheduled has one assignment change among n records of the zone: written, seen in the mirror, decided over three
// clusters.
func BenchmarkChangeScheduled(b *testing.B) {
	for _, n := range crowd {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			z := newZoneStore(b)
			defer z.stop()
			var writes []store.Write
			for i := range 3 {
				writes = append(writes, put(clusterNamed(fmt.Sprint("c", i)).Record()))
			}
			assign := func(i int, replicas int32) (rev, assignment record.Record) {
				name := fmt.Sprint("a", i)
				rev = record.Revision{Namespace: "n", Application: name, Environment: "prod", Spec: []byte(
					`{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":"i:1"}]}},"placement":{"mode":"Divided"}}`)}.Record()
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
