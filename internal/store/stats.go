package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts what a Mirror and the Writers above it do. Gauges go up and down, the rest only grows.
type Stats struct {
	// Connected is the gauge of whether the mirror follows its store, which answers: 1 or 0. Lost counts how often it lost it, Loads how
	// often it read all of it.
	Connected, Lost, Loads atomic.Int64
	// Commits that were answered, and what they wrote.
	Commits, Written, Removed, WrittenBytes atomic.Int64
	// CommitTimes are the times until commits were answered, MirrorTimes those from a call's last commit until the
	// mirror showed it.
	CommitTimes, MirrorTimes Durations
	// Failed commits, by reason: one of FailureReasons.
	failed [len(FailureReasons)]atomic.Int64
}

// FailureReasons are the reasons for which commits fail: the term had ended; the batch was out of bounds; the store was
// full; it did not answer in time; the caller gave up; or something else, as that it cannot be reached.
var FailureReasons = [...]string{"deposed", "bounds", "full", "timeout", "cancelled", "other"}

// Failed is how many commits failed for the reason at that place in FailureReasons.
func (s *Stats) Failed(reason int) int64 { return s.failed[reason].Load() }

func reason(err error) int {
	for i, is := range []error{ErrDeposed, ErrBounds, ErrFull, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, is) {
			return i
		}
	}
	return len(FailureReasons) - 1
}

// committed counts a commit that began at some time.
func (s *Stats) committed(batch Batch, began time.Time, err error) {
	if err != nil {
		s.failed[reason(err)].Add(1)
		return
	}
	s.CommitTimes.add(time.Since(began))
	s.Commits.Add(1)
	for _, w := range batch.Writes {
		if w.Delete {
			s.Removed.Add(1)
		} else {
			s.Written.Add(1)
			s.WrittenBytes.Add(int64(len(w.Content)))
		}
	}
}

// durationBounds are the upper bounds of Durations' buckets.
var durationBounds = [...]time.Duration{time.Millisecond, 4 * time.Millisecond, 16 * time.Millisecond,
	64 * time.Millisecond, 256 * time.Millisecond, time.Second, 4 * time.Second}

// Durations is a histogram.
type Durations struct {
	mu      sync.Mutex
	count   uint64                      // guarded by mu
	sum     time.Duration               // guarded by mu
	buckets [len(durationBounds)]uint64 // guarded by mu
}

func (d *Durations) add(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	d.sum += took
	for i, bound := range durationBounds {
		if took <= bound {
			d.buckets[i]++
			return
		}
	}
}

// Read returns the number of durations, their sum in seconds, and how many were at most as many seconds as each key.
func (d *Durations) Read() (count uint64, sum float64, buckets map[float64]uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	buckets = make(map[float64]uint64, len(d.buckets))
	below := uint64(0)
	for i, n := range d.buckets {
		below += n
		buckets[durationBounds[i].Seconds()] = below
	}
	return d.count, d.sum.Seconds(), buckets
}
