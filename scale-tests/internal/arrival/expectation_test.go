package arrival

import (
	"context"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/object"
)

func watchOf(clusters int) *Watch {
	return &Watch{failed: make(chan struct{}), clusters: clusters, seen: map[place]string{}}
}

func isDone(e *Expectation) bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

func TestExpectation(t *testing.T) {
	a, b := object.ID{Kind: "A", Name: "x"}, object.ID{Kind: "B", Name: "x"}
	type event struct {
		cluster int
		id      object.ID
		version string
		done    bool // afterwards
	}
	for _, c := range []struct {
		name   string
		before []event
		goals  []Goal
		events []event
	}{
		{"all clusters need all objects", nil,
			[]Goal{{"x", map[object.ID]string{a: "1", b: "1"}}},
			[]event{{0, a, "1", false}, {1, a, "1", false}, {0, b, "1", false}, {1, b, "1", true}}},
		{"another version is not enough", []event{{0, a, "1", false}, {1, a, "1", false}},
			[]Goal{{"x", map[object.ID]string{a: "2"}}},
			[]event{{0, a, "1", false}, {0, a, "2", false}, {1, a, "2", true}}},
		{"what is there counts", []event{{0, a, "1", false}},
			[]Goal{{"x", map[object.ID]string{a: "1"}}}, []event{{1, a, "1", true}}},
		{"what is changed back is waited for again", nil,
			[]Goal{{"x", map[object.ID]string{a: "2"}}},
			[]event{{0, a, "2", false}, {0, a, "1", false}, {1, a, "2", false}, {0, a, "2", true}}},
		{"goals are reached one by one", nil,
			[]Goal{{"x", map[object.ID]string{a: "1"}}, {"y", map[object.ID]string{b: "1"}}},
			[]event{{0, a, "1", false}, {1, a, "1", false}, {0, b, "1", false}, {1, b, "1", true}}},
		{"until all are gone", []event{{0, a, "1", false}, {1, a, "1", false}},
			[]Goal{{"x", map[object.ID]string{a: Gone}}},
			[]event{{0, a, Gone, false}, {1, a, Gone, true}}},
	} {
		w := watchOf(2)
		for _, e := range c.before {
			w.note(place{e.cluster, e.id}, e.version)
		}
		x := w.Expect(c.goals)
		for i, e := range c.events {
			w.note(place{e.cluster, e.id}, e.version)
			if got := isDone(x); got != e.done {
				t.Errorf("%s: after event %d: done is %t, want %t", c.name, i+1, got, e.done)
			}
		}
		at, err := x.Wait(t.Context())
		if err != nil || len(at) != len(c.goals) {
			t.Errorf("%s: got %d times, %v; want %d", c.name, len(at), err, len(c.goals))
		}
	}
}

func TestExpectationOfNothingNewIsReachedAtOnce(t *testing.T) {
	w := watchOf(2)
	e := w.Expect([]Goal{{"x", map[object.ID]string{{Kind: "A"}: Gone}}})
	before := time.Now()
	at, err := e.Wait(t.Context())
	if err != nil || at["x"].After(before) {
		t.Errorf("got %v, %v; want a time before the wait", at, err)
	}
}

func TestWaitSaysWhatIsMissing(t *testing.T) {
	w := watchOf(1)
	e := w.Expect([]Goal{{"x", map[object.ID]string{{Kind: "A", Name: "x"}: "1"}}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Wait(ctx); err == nil {
		t.Error("got no error")
	}
}
