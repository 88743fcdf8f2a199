// Package latency sums up durations. The harnesses of scale-tests import it.
package latency

import (
	"math"
	"slices"
	"time"
)

// Percentile is the smallest of the durations that at least p percent of them do not exceed (the nearest rank); 0 when
// there are none.
func Percentile(durations []time.Duration, p float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Milliseconds is a duration in milliseconds, rounded to hundredths.
func Milliseconds(d time.Duration) float64 { return round(d.Seconds() * 1000) }

// Seconds is a duration in seconds, rounded to hundredths.
func Seconds(d time.Duration) float64 { return round(d.Seconds()) }

func round(v float64) float64 { return math.Round(v*100) / 100 }
