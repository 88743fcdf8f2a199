package ipam

import (
	"math"
	"testing"
	"time"
)

// TestForecast: a pool that fills steadily is exhausted when its rate says; what was long ago is forgotten.
func TestForecast(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var r rate
	if got := r.exhausted(begin, 100); !math.IsInf(got, 1) {
		t.Errorf("of a pool that nobody looked at: %v, want infinite", got)
	}
	const perSecond = 2.0
	now := begin
	for i := range 8 * 3600 {
		now = begin.Add(time.Duration(i) * time.Second)
		r.observe(now, 50+perSecond*float64(i))
	}
	if got, want := r.exhausted(now, 7200), 3600.0; math.Abs(got-want) > want/100 {
		t.Errorf("at 2 addresses a second, 7,200 are taken in %v s, want about %v", got, want)
	}
	if got := r.at(now.Add(10 * time.Hour)); got > perSecond/1000 {
		t.Errorf("ten hours later the rate is still %v a second", got)
	}
	r.observe(now, 50)
	if got := r.exhausted(now, 100); !math.IsInf(got, 1) {
		t.Errorf("of a pool that empties: %v, want infinite", got)
	}
}
