package feed_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// fill puts n records k000, k001, … into a's Outbox.
func (p *pair) fill(n int) {
	for i := range n {
		p.a.outbox.Edit(put(fmt.Sprintf("k%03d", i), "x"))
	}
}

// drop removes records from to to-1.
func (p *pair) drop(from, to int, cause record.Cause) {
	var edits []feed.Edit
	for i := from; i < to; i++ {
		edits = append(edits, feed.Remove(key(fmt.Sprintf("k%03d", i)), cause))
	}
	p.a.outbox.Edit(edits...)
	p.rest()
}

func TestGuard(t *testing.T) {
	cases := map[string]struct {
		held    int
		cause   record.Cause
		removed []int // removals one after another, with a pause after each
		pause   time.Duration
		passed  int
	}{
		"few keys":                  {held: 19, cause: record.CauseScope, removed: []int{19}, passed: 19},
		"all of a little more":      {held: 30, cause: record.CauseScope, removed: []int{30}, passed: 19},
		"by a person":               {held: 100, cause: record.CausePerson, removed: []int{100}, passed: 100},
		"exactly the share":         {held: 100, cause: record.CauseFound, removed: []int{30}, passed: 30},
		"past the share":            {held: 100, cause: record.CauseFound, removed: []int{80}, passed: 30},
		"past the share in two":     {held: 100, cause: record.CauseScope, removed: []int{25, 25}, pause: time.Minute, passed: 30},
		"slowly":                    {held: 100, cause: record.CauseScope, removed: []int{25, 20, 15}, pause: 11 * time.Minute, passed: 60},
		"once tripped, stays so":    {held: 100, cause: record.CauseScope, removed: []int{40, 1}, pause: time.Hour, passed: 30},
		"many keys, a small change": {held: 900, cause: record.CauseScope, removed: []int{250}, passed: 250},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.fill(c.held)
			p.connect()
			total := 0
			for _, n := range c.removed {
				p.drop(total, total+n, c.cause)
				total += n
				p.wait(c.pause)
			}
			if got, want := c.held-len(p.b.held), c.passed; got != want {
				t.Errorf("%d removals passed, want %d", got, want)
			}
			if got, want := len(p.b.ledger.Standing().Held), total-c.passed; got != want {
				t.Errorf("%d removals are held back, want %d", got, want)
			}
			p.agree()
		})
	}
}

func TestHeldRemovals(t *testing.T) {
	p := newPair(t)
	p.fill(100)
	p.connect()
	p.drop(0, 90, record.CauseScope)
	if got, want := len(p.b.held), 70; got != want {
		t.Fatalf("%d records are held, want %d", got, want)
	}
	heldBack := 0
	for _, o := range p.a.outcomes {
		if o.Held {
			heldBack++
		}
	}
	if heldBack != 60 {
		t.Errorf("the sender was told of %d removals held back, want 60", heldBack)
	}

	state, err := json.Marshal(p.b.ledger.State())
	if err != nil {
		t.Fatal(err)
	}
	var restored feed.State
	if err := json.Unmarshal(state, &restored); err != nil {
		t.Fatal(err)
	}
	p.restart(restored)
	if got, want := len(p.b.held), 70; got != want {
		t.Errorf("after a restart %d records are held, want %d", got, want)
	}
	p.agree()

	// A key that comes back is no longer to be removed, and need not be applied; one that a person removes goes.
	p.a.outbox.Edit(put("k050", "x"))
	p.rest()
	if got := p.b.todo; len(got) != 0 {
		t.Errorf("applied %v, want nothing: it is held", got)
	}
	p.agree()

	if keys, err := p.b.ledger.Confirm(feed.ConfirmRemovals); err != nil || keys != 59 {
		t.Errorf("confirming: %d keys, %v, want 59", keys, err)
	}
	p.wait(time.Second)
	if got, want := len(p.b.held), 11; got != want {
		t.Errorf("after the confirmation %d records are held, want %d", got, want)
	}
	p.agree()
	if _, err := p.b.ledger.Confirm(feed.ConfirmRemovals); err == nil {
		t.Error("confirming again: no error, want one")
	}
	// The guard counts from nothing.
	p.fill(100)
	p.rest()
	p.drop(0, 19, record.CauseScope)
	if got := len(p.b.ledger.Standing().Held); got != 0 {
		t.Errorf("%d removals are held back, want 0", got)
	}
}

func TestRemovalIsCountedOnce(t *testing.T) {
	p := newPair(t)
	p.fill(60)
	p.connect()
	for range 5 { // the session breaks before the removals are applied
		p.slow = true
		p.a.outbox.Edit(feed.Remove(key("k000"), record.CauseScope), feed.Remove(key("k001"), record.CauseScope),
			feed.Remove(key("k002"), record.CauseScope), feed.Remove(key("k003"), record.CauseScope))
		p.rest()
		p.slow = false
		p.slow = true
		p.connect()
		p.slow = false
	}
	p.connect()
	p.drop(4, 18, record.CauseScope)
	if got, want := len(p.b.held), 42; got != want {
		t.Errorf("%d records are held, want %d: 18 removals are too few for the guard", got, want)
	}
	p.agree()
}

func TestRemovalHeldBackBehindAnUpdate(t *testing.T) {
	p := newPair(t)
	p.fill(60)
	p.connect()
	p.drop(0, 20, record.CauseScope) // trips the guard
	p.slow = true
	p.a.outbox.Edit(put("k059", "y"))
	p.rest()
	p.drop(59, 60, record.CauseScope)
	p.slow = false
	p.rest()
	p.agree()
	for _, h := range p.b.ledger.Standing().Held {
		if h.Key == key("k059") && h.Version != record.VersionOf([]byte("y")) {
			t.Errorf("%s is held back at %v, want the version applied last", h.Key, h.Version)
		}
	}
}

func TestFloor(t *testing.T) {
	at := func(epoch uint64, revision int64) feed.Position {
		return feed.Position{Epoch: epoch, Revision: revision}
	}
	cases := map[string]struct {
		before, after feed.Position
		fences        [2]int64
		refused       feed.RefusalKind
		confirm       feed.Confirmation
	}{
		"the same":             {before: at(1, 5), after: at(1, 5)},
		"later":                {before: at(1, 5), after: at(1, 6)},
		"no history":           {},
		"first history":        {after: at(1, 5)},
		"lower revision":       {before: at(1, 5), after: at(1, 4), refused: feed.RefusedFloor, confirm: feed.ConfirmFloor},
		"another epoch":        {before: at(1, 5), after: at(2, 9), refused: feed.RefusedEpoch, confirm: feed.ConfirmEpoch},
		"no position any more": {before: at(1, 5), refused: feed.RefusedFloor, confirm: feed.ConfirmFloor},
		"lower fence": {before: at(1, 5), after: at(1, 6), fences: [2]int64{3, 2}, refused: feed.RefusedFence,
			confirm: feed.ConfirmFloor},
		"higher fence": {before: at(1, 5), after: at(1, 6), fences: [2]int64{3, 4}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.a.fence = feed.Fence{Epoch: 1, Fence: c.fences[0]}
			p.a.outbox.Update(c.before, put("k", "1"))
			p.connect()
			p.a.fence = feed.Fence{Epoch: 1, Fence: c.fences[1]}
			p.a.outbox.Update(c.after, put("k", "2"))
			p.restart(p.b.ledger.State())

			var kind feed.RefusalKind
			if r := p.b.ledger.Standing().Refusal; r != nil {
				kind = r.Kind
			}
			if kind != c.refused {
				t.Fatalf("refused for %q, want %q", kind, c.refused)
			}
			want := "2"
			if c.refused != "" {
				want = "1"
				by := p.a.session.Status().RefusedBy
				if by == nil || by.Kind != c.refused || by.Reason == "" {
					t.Errorf("the sender knows of %+v, want %q", by, c.refused)
				}
			}
			if got := p.b.held[key("k")]; got != want {
				t.Errorf("held %q, want %q", got, want)
			}
			if c.refused == "" {
				return
			}
			if _, err := p.b.ledger.Confirm(c.confirm); err != nil {
				t.Fatal(err)
			}
			p.wait(time.Second)
			if got := p.b.held[key("k")]; got != "2" {
				t.Errorf("after the confirmation held %q, want %q", got, "2")
			}
			p.agree()
		})
	}
}

func TestConfirmNothing(t *testing.T) {
	l := feed.NewLedger(feed.State{}, nil)
	for _, what := range []feed.Confirmation{feed.ConfirmRemovals, feed.ConfirmEpoch, feed.ConfirmFloor, "whatever"} {
		if _, err := l.Confirm(what); err == nil || !strings.Contains(err.Error(), string(what)) {
			t.Errorf("confirming %s: %v, want an error that names it", what, err)
		}
	}
}

// An owner that is deposed in the middle of its session is refused; what it had sent before is applied first, and when
// it owns the child again it is told all outcomes anew.
func TestFenceFallsAndRises(t *testing.T) {
	p := newPair(t)
	p.a.fence = feed.Fence{Epoch: 1, Fence: 5}
	p.connect()
	p.slow = true
	p.a.outbox.Edit(put("before", "1"), put("gone", "1"))
	p.rest()
	p.a.fence.Fence = 4
	p.a.outbox.Edit(put("after", "1"))
	p.rest()
	if by := p.a.session.Status().RefusedBy; by == nil || by.Kind != feed.RefusedFence {
		t.Fatalf("the sender is refused by %+v, want the fence", by)
	}
	p.a.outcomes = nil
	p.a.outbox.Edit(feed.Remove(key("gone"), record.CausePerson))
	p.rest()
	p.a.fence.Fence = 6
	p.rest()
	p.slow = false
	p.rest()
	if got, want := p.b.names(), "after before"; got != want {
		t.Errorf("held %q, want %q", got, want)
	}
	p.agree()
	told := map[string]bool{}
	for _, o := range p.a.outcomes {
		told[o.Key.Name] = true
	}
	if !told["before"] || !told["after"] {
		t.Errorf("told of %v, want before and after", told)
	}
	if got := p.b.ledger.State().Fence.Fence; got != 6 {
		t.Errorf("the highest fence is %d, want 6", got)
	}
}
