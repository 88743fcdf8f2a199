package clusteragent

import (
	"slices"
	"testing"
	"time"
)

// TestFightSlowsDown puts back at once, then ever more slowly, and forgets.
func TestFightSlowsDown(t *testing.T) {
	var f fight
	now := time.Unix(0, 0)
	var got []time.Duration
	for range 12 {
		wait := f.pause(now)
		got = append(got, wait)
		now = now.Add(wait)
	}
	s := time.Second
	want := []time.Duration{0, s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 300 * s, 300 * s}
	if !slices.Equal(got, want) {
		t.Errorf("pauses %v, want %v", got, want)
	}
	if wait := f.pause(now.Add(fightLimit + fightCalm + time.Second)); wait != 0 {
		t.Errorf("pause after a calm = %s, want 0", wait)
	}
}
