package latency_test

import (
	"testing"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, c := range []struct {
		name string
		in   []time.Duration
		p    float64
		want time.Duration
	}{
		{"none", nil, 50, 0},
		{"one", []time.Duration{7}, 99, 7},
		{"median of three", []time.Duration{9, 1, 5}, 50, 5},
		{"median of a hundred", hundred, 50, 50 * time.Millisecond},
		{"p99 of a hundred", hundred, 99, 99 * time.Millisecond},
		{"p100 of a hundred", hundred, 100, 100 * time.Millisecond},
	} {
		if got := latency.Percentile(c.in, c.p); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
