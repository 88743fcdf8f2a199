package feed

import (
	"sync/atomic"
	"time"
)

// maxBounds is how many bounds a histogram has at most.
const maxBounds = 15

// histogram counts values by size. Observing takes no lock; a reader may see a value that is being observed in part.
type histogram struct {
	counts [maxBounds + 1]atomic.Int64
	sum    atomic.Int64
}

func (h *histogram) observe(bounds []int64, v int64) {
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

func (h *histogram) read(bounds []int64, per float64) Distribution {
	d := Distribution{Buckets: make(map[float64]uint64, len(bounds)), Sum: float64(h.sum.Load()) / per}
	for i := range h.counts[:len(bounds)+1] {
		d.Count += uint64(h.counts[i].Load())
		if i < len(bounds) {
			d.Buckets[float64(bounds[i])/per] = d.Count
		}
	}
	return d
}

// Distribution is what a histogram has counted.
type Distribution struct {
	// Buckets are, by upper bound, how many values were at most that.
	Buckets map[float64]uint64
	Count   uint64
	Sum     float64
}

// Latencies counts durations. The zero Latencies is ready.
type Latencies struct{ h histogram }

// Observe counts one duration.
func (l *Latencies) Observe(d time.Duration) { l.h.observe(latencyBounds(), int64(d)) }

// Read returns what was counted, in seconds.
func (l *Latencies) Read() Distribution { return l.h.read(latencyBounds(), 1e9) }

// latencyBounds reach from what one change takes on a local link to what a stalled peer takes.
func latencyBounds() []int64 {
	const ms, s = int64(time.Millisecond), int64(time.Second)
	return []int64{ms, 5 * ms / 2, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, s, 5 * s / 2, 5 * s,
		10 * s, 30 * s, 60 * s}
}

// Sizes counts numbers of things. The zero Sizes is ready.
type Sizes struct{ h histogram }

// Observe counts one number.
func (s *Sizes) Observe(n int) { s.h.observe(sizeBounds(), int64(n)) }

// Read returns what was counted.
func (s *Sizes) Read() Distribution { return s.h.read(sizeBounds(), 1) }

// sizeBounds end where a batch does.
func sizeBounds() []int64 { return []int64{1, 2, 4, 8, 16, 32, 64, 128, batchRecords} }
