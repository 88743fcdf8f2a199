package feed_test

import (
	"maps"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
)

func TestLatencies(t *testing.T) {
	var l feed.Latencies
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 3 * time.Second, time.Hour} {
		l.Observe(d)
	}
	d := l.Read()
	if d.Count != 5 || d.Sum < 3603 || d.Sum > 3603.1 {
		t.Errorf("got %d values with sum %v, want 5 with 3603.002", d.Count, d.Sum)
	}
	for bound, want := range map[float64]uint64{0.001: 2, 0.0025: 3, 2.5: 3, 5: 4, 60: 4} {
		if got, ok := d.Buckets[bound]; !ok || got != want {
			t.Errorf("up to %v s: got %d (%v), want %d: %v", bound, got, ok, want, d.Buckets)
		}
	}
}

func TestSizes(t *testing.T) {
	var s feed.Sizes
	for _, n := range []int{1, 1, 3, 256, 300} {
		s.Observe(n)
	}
	d := s.Read()
	want := map[float64]uint64{1: 2, 2: 2, 4: 3, 8: 3, 16: 3, 32: 3, 64: 3, 128: 3, 256: 4}
	if !maps.Equal(d.Buckets, want) || d.Count != 5 || d.Sum != 561 {
		t.Errorf("got %+v, want %v, 5 in all with sum 561", d, want)
	}
}
