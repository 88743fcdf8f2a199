package feedgrpc_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
)

// BenchmarkRecords sends records of 4 KiB to one child over loopback, from its connection on.
func BenchmarkRecords(b *testing.B) {
	const count = 5_000
	h := newHub(b, "a")
	outbox := h.children["a"].outbox
	for n := range count {
		outbox.Edit(feed.Put(rec(fmt.Sprint("k", n), fmt.Sprintf("%4096d", n))))
	}
	outbox.SetComplete(true)
	for b.Loop() {
		child := newTier()
		stop := dial(b, child, "a", h.address)
		child.await(b, "it holds all", func() bool { return len(child.held) == count })
		stop()
	}
	b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkOneRecord is the time of one change on an idle session, from the Outbox until it is acknowledged.
func BenchmarkOneRecord(b *testing.B) {
	h := newHub(b, "a")
	parent := h.children["a"]
	parent.outbox.SetComplete(true)
	acked := make(chan struct{}, 1)
	parent.acked = func([]feed.Outcome) { acked <- struct{}{} }
	child := newTier()
	dial(b, child, "a", h.address)
	child.await(b, "it is there", func() bool { return child.link != nil })
	n := 0
	for b.Loop() {
		n++
		parent.outbox.Edit(feed.Put(rec("k", fmt.Sprint(n))))
		<-acked
	}
}

// BenchmarkIdleChildren reports the memory of both ends of one idle session, in one process.
func BenchmarkIdleChildren(b *testing.B) {
	const count = 200
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var paths []string
		for n := range count {
			paths = append(paths, fmt.Sprint("child", n))
		}
		h := newHub(b, paths...)
		var stops []func()
		for _, p := range paths {
			h.children[p].outbox.SetComplete(true)
			child := newTier()
			stops = append(stops, dial(b, child, p, h.address))
			child.await(b, "it is there", func() bool { return child.link != nil })
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/count, "B/session")
		b.ReportMetric(float64(runtime.NumGoroutine())/count, "goroutines/session")
		for _, stop := range stops {
			stop()
		}
		h.stop()
	}
}
