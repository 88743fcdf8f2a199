package feedgrpc_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
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

// BenchmarkIdleCPU reports the CPU time that both ends of 1,000 idle sessions take, in one process, in thousandths of a
// core.
func BenchmarkIdleCPU(b *testing.B) {
	const count, span = 1_000, 20 * time.Second
	h := &hub{tb: b, children: map[string]*tier{}}
	for n := range count {
		h.children[fmt.Sprint(n)] = newTier()
	}
	h.start("127.0.0.1:0")
	b.Cleanup(func() { h.stop() })
	for path, parent := range h.children {
		parent.outbox.Edit(feed.Put(rec("k", path)))
		parent.outbox.SetComplete(true)
		child := newTier()
		dial(b, child, path, h.address)
		defer child.await(b, "it is there still", func() bool { return child.closed == 0 })
		child.await(b, "it is there", func() bool { return child.link != nil })
	}
	for b.Loop() {
		began, used := time.Now(), cpu(b)
		time.Sleep(span)
		b.ReportMetric(1000*(cpu(b)-used).Seconds()/time.Since(began).Seconds(), "mcores")
	}
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
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

// BenchmarkStorm is the time until 1,000 children of a parent that was restarted have all compared digests with it again,
// both ends in one process.
func BenchmarkStorm(b *testing.B) {
	const count = 1_000
	for name, admission := range map[string]feedgrpc.Admission{
		"admission=default": {},
		"admission=none":    {Concurrent: count, Rate: 1e9, Line: count},
	} {
		b.Run(name, func(b *testing.B) {
			h := &hub{tb: b, children: map[string]*tier{}, admission: admission}
			for n := range count {
				h.children[fmt.Sprint(n)] = newTier()
			}
			h.start("127.0.0.1:0")
			b.Cleanup(func() { h.stop() })
			for path, parent := range h.children {
				parent.outbox.Edit(feed.Put(rec("k", path)))
				parent.outbox.SetComplete(true)
				dial(b, newTier(), path, h.address)
			}
			synced := func() {
				for _, parent := range h.children {
					parent.await(b, "it has compared", func() bool { return parent.link != nil && parent.link.Status().InSync })
				}
			}
			synced()
			for b.Loop() {
				b.StopTimer()
				used := cpu(b)
				h.stop()
				b.StartTimer()
				h.start(h.address)
				synced()
				b.ReportMetric((cpu(b) - used).Seconds(), "cpu-s")
			}
		})
	}
}
