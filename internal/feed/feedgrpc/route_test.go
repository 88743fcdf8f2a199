package feedgrpc

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// walk goes on as next says and returns the addresses and whether each was reached with a pause, for short ends.
func walk(r *route, steps int, end attempt) (addresses []string, paused int) {
	for range steps {
		addresses = append(addresses, r.address())
		if r.next(end) >= minPause/2 {
			paused++
		}
	}
	return addresses, paused
}

func TestRouteTriesEveryAddressBeforeItPauses(t *testing.T) {
	r := newRoute([]string{"x:1", "y:1"})
	first := r.address()
	r.learn([]string{"a:1", "b:1", "c:1", first})
	if got := r.address(); got != first {
		t.Errorf("address after learning: got %s, want still %s", got, first)
	}
	if wait := r.next(attempt{lasted: time.Hour}); wait >= minPause/2 {
		t.Errorf("pause after a session that lasted: %v, want a jolt", wait)
	}
	addresses, paused := walk(r, 4, attempt{})
	got := slices.Sorted(slices.Values(append(addresses, first)))
	want := slices.Sorted(slices.Values([]string{"a:1", "b:1", "c:1", "x:1", "y:1"}))
	if !slices.Equal(got, want) || paused != 0 {
		t.Errorf("first round: got %v with %d pauses, want %v with none", got, paused, want)
	}
	if _, paused = walk(r, 5, attempt{}); paused != 5 {
		t.Errorf("second round: %d pauses, want 5", paused)
	}
	if r.pause < 4*minPause {
		t.Errorf("pause after five: %v, want it to grow", r.pause)
	}
	if _, paused = walk(r, 100, attempt{lasted: time.Millisecond}); paused != 100 {
		t.Errorf("%d pauses between 100 sessions that end at once, want 100", paused)
	}
}

func TestRouteSpreads(t *testing.T) {
	var all []string
	for n := range 4 {
		all = append(all, fmt.Sprint("replica", n))
	}
	next := map[string]int{}
	for range 1_000 {
		r := newRoute([]string{"service"})
		r.learn(all)
		r.redirect = all[0]
		r.next(attempt{lasted: time.Hour})
		next[r.address()]++
	}
	for _, address := range all[1:] {
		if next[address] < 100 {
			t.Errorf("of 1,000 children of a parent that is gone %d go to %s, want a fair share: %v", next[address], address, next)
		}
	}
}

func TestRouteKeepsItsOrderWhenItLearns(t *testing.T) {
	r := newRoute([]string{"x"})
	r.learn([]string{"a", "b", "c"})
	before := slices.Clone(r.learnt)
	r.learn([]string{"c", "d", "b", "a"})
	without := slices.DeleteFunc(slices.Clone(r.learnt), func(s string) bool { return s == "d" })
	if !slices.Equal(before, without) {
		t.Errorf("order after another one was learnt: got %v, want %v with it", r.learnt, before)
	}
	r.learn([]string{"d"})
	if got, want := r.addresses(), []string{"d", "x"}; !slices.Equal(got, want) {
		t.Errorf("addresses: got %v, want %v", got, want)
	}
}

func TestRouteForgetsWhatItKeptWhenItIsToldAnew(t *testing.T) {
	r := newRoute([]string{"x"}, "old:1", "old:2", "x")
	addresses, paused := walk(r, 3, attempt{})
	got := slices.Sorted(slices.Values(addresses))
	if want := []string{"old:1", "old:2", "x"}; !slices.Equal(got, want) || paused != 0 {
		t.Errorf("first round: got %v with %d pauses, want %v with none", got, paused, want)
	}
	r.learn([]string{"new"})
	if got, want := r.addresses(), []string{"new", "x"}; !slices.Equal(got, want) {
		t.Errorf("addresses after the parent told them: got %v, want %v", got, want)
	}
}

func TestRouteFollowsRedirects(t *testing.T) {
	r := newRoute([]string{"x"})
	for n := range maxRedirects {
		to := fmt.Sprint("owner", n)
		if wait := r.next(attempt{redirect: to, lasted: time.Second}); wait != 0 || r.address() != to {
			t.Fatalf("redirect %d: got %s after %v, want %s at once", n, r.address(), wait, to)
		}
	}
	r.free = 0
	if wait := r.next(attempt{redirect: "once more"}); wait < minPause/2 || r.address() != "x" {
		t.Errorf("a redirect too many: got %s after %v, want x after a pause", r.address(), wait)
	}
	r.next(attempt{redirect: "owner"})
	if wait := r.next(attempt{lasted: time.Hour, redirect: "other"}); wait != 0 || r.address() != "other" {
		t.Errorf("redirect of a live session: got %s after %v, want other at once", r.address(), wait)
	}
}

func TestRouteStays(t *testing.T) {
	r := newRoute([]string{"x", "y"})
	r.next(attempt{redirect: "owner"})
	if wait := r.next(attempt{stay: 2 * time.Second}); wait < time.Second || wait > 3*time.Second || r.address() != "owner" {
		t.Errorf("told to stay away for 2s: got %s after %v, want owner after 1s to 3s", r.address(), wait)
	}
	if wait := r.next(attempt{stay: 24 * time.Hour}); wait > 2*maxStay {
		t.Errorf("told to stay away for a day: %v, want at most about %v", wait, maxStay)
	}
	r.next(attempt{own: true})
	if got := r.address(); got != "owner" {
		t.Errorf("after a failure of its own: got %s, want owner", got)
	}
}
