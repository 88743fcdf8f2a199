package clusteragent

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// benchApps makes the objects of n applications, four each, by class.
func benchApps(b *testing.B, namespace string, n int) []*record.Record {
	b.Helper()
	out := []*record.Record{namespaceRecord(b, namespace)}
	for i := range n {
		app := application(b, namespace, fmt.Sprintf("app-%d", i))
		out = append(out, app[4], app[2], app[1], app[0])
	}
	return out
}

// BenchmarkApply compares an agent with a plain loop of server-side apply that has as many workers. One operation is
// 500 applications of 4 objects.
func BenchmarkApply(b *testing.B) {
	const apps = 500
	round := 0
	b.Run("plain", func(b *testing.B) {
		a := newAdmin(b, shared)
		for b.Loop() {
			round++
			namespace := fmt.Sprintf("bench-plain-%d", round)
			records := benchApps(b, namespace, apps)
			start := time.Now()
			plainApply(b, a, records[:1])
			plainApply(b, a, records[1:])
			b.ReportMetric(float64(len(records))/time.Since(start).Seconds(), "objects/s")
		}
		cleanUp(b, shared)
	})
	b.Run("agent", func(b *testing.B) {
		cleanUp(b, shared)
		z := newZone(b)
		agent := startAgent(b, shared, z, "bench")
		agent.settle()
		for b.Loop() {
			round++
			records := benchApps(b, fmt.Sprintf("bench-agent-%d", round), apps)
			start := time.Now()
			z.send(records...)
			z.all(records)
			b.ReportMetric(float64(len(records))/time.Since(start).Seconds(), "objects/s")

			start = time.Now()
			z.remove(keysOf(records[1:])...)
			b.ReportMetric(float64(len(records)-1)/time.Since(start).Seconds(), "removals/s")
		}
	})
}

// BenchmarkSingle is the time from the zone's change of one object until it knows that it was applied.
func BenchmarkSingle(b *testing.B) {
	cleanUp(b, shared)
	z := newZone(b)
	startAgent(b, shared, z, "bench")
	z.put(namespaceRecord(b, "bench-single"))
	n := 0
	for b.Loop() {
		n++
		r := configMap(b, "bench-single", fmt.Sprintf("single-%d", n), "1")
		z.send(r)
		z.all([]*record.Record{r})
	}
}

// BenchmarkMemory reports the heap of an agent for 10,000 objects, all held in this process with the zone that sent
// them, whose share is the same bytes once more.
func BenchmarkMemory(b *testing.B) {
	cleanUp(b, shared)
	for b.Loop() {
		z := newZone(b)
		agent := startAgent(b, shared, z, "bench")
		agent.settle()
		records := benchApps(b, "bench-memory", 2500)
		before := heap()
		z.send(records...)
		z.all(records)
		b.ReportMetric(float64(heap()-before)/float64(len(records)), "B/object")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		agent.stop()
		before = heap()
		again := startAgent(b, shared, z, "bench")
		again.settle()
		b.ReportMetric(float64(heap()-before)/float64(len(records)), "restarted-B/object")
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// all waits until each record has taken effect.
func (z *zone) all(records []*record.Record) {
	z.t.Helper()
	next := 0
	eventually(z.t, "all records", func() bool {
		for ; next < len(records); next++ {
			o, ok := z.outcome(records[next].Key)
			if !ok || o.Version != records[next].Version {
				return false
			}
			if o.Rejection != nil {
				z.t.Fatalf("%s: %s", records[next].Key, o.Rejection.Message)
			}
		}
		return true
	})
}

func plainApply(b *testing.B, a admin, records []*record.Record) {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(defaultWorkers)
	for _, r := range records {
		g.Go(func() error {
			id, err := object.FromKey(r.Key)
			if err != nil {
				return err
			}
			force := true
			_, err = a.at(id).Patch(b.Context(), id.Name, types.ApplyPatchType, r.Content,
				metav1.PatchOptions{FieldManager: object.FieldManager, Force: &force})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
