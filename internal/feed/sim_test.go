package feed_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
)

var (
	seeds = flag.Int("feed.seeds", 3000, "how many seeds TestSimulation runs")
	seed  = flag.Uint64("feed.seed", 0, "the only seed that TestSimulation runs, with its events printed")
)

// TestSimulation runs a parent and a child under faults, and then without, after which both directions must agree. A
// seed that fails is run alone by -feed.seed.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		newWorld(t, *seed).run()
		return
	}
	count := *seeds
	if testing.Short() {
		count = 300
	}
	for s := range uint64(count) {
		newWorld(t, s+1).run()
		if t.Failed() {
			t.Fatalf("seed %d fails; run it alone with -feed.seed=%d", s+1, s+1)
		}
	}
}

// world is a parent, a child and the connection between them.
type world struct {
	t             *testing.T
	seed          uint64
	rng           *rand.Rand
	now           time.Time
	parent, child *node
	// calm: no more faults.
	calm bool
	// restores: the parent's store may be restored from an older copy.
	restores bool
	// faults is the share of faults among the events, in thousandths.
	faults int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 42)), now: time.Unix(1_700_000_000, 0)}
	w.restores, w.faults = seed%7 == 0, 5+w.rng.IntN(60)
	w.parent = newNode(w, "parent", 0xabc)
	w.child = newNode(w, "child", 0)
	w.parent.other, w.child.other = w.child, w.parent
	return w
}

func (w *world) logf(format string, args ...any) {
	if *seed != 0 {
		w.t.Logf("%s "+format, append([]any{w.now.Format("15:04:05.000")}, args...)...)
	}
}

func (w *world) errorf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

func (w *world) run() {
	w.connect()
	for range 200 + w.rng.IntN(800) {
		w.event()
		if w.t.Failed() {
			return
		}
	}
	w.settle()
	w.check(w.parent, w.child)
	w.check(w.child, w.parent)
}

// event lets one thing happen.
func (w *world) event() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(50)) * time.Millisecond)
	n := w.parent
	if w.rng.IntN(2) == 0 {
		n = w.child
	}
	if (n.session == nil || n.other.session == nil) && w.rng.IntN(10) == 0 {
		w.connect()
	}
	if w.rng.IntN(1000) < w.faults {
		w.fault(n)
		return
	}
	switch d := w.rng.IntN(100); {
	case d < 55:
		n.deliver()
	case d < 70:
		n.applyNext()
	case d < 84:
		n.mutate()
	case d < 92:
		n.catchUp()
	case d < 97:
		w.now = w.now.Add(time.Duration(w.rng.IntN(2000)) * time.Millisecond)
		n.tick()
	case d < 99:
		n.say()
	default:
		n.confirm()
	}
}

// fault lets one thing go wrong.
func (w *world) fault(n *node) {
	switch d := w.rng.IntN(15); {
	case d < 2:
		n.failApply()
	case d < 4:
		w.disconnect()
	case d < 5:
		w.connect()
	case d < 6:
		n.purge()
	case d < 8:
		w.now = w.now.Add(time.Duration(w.rng.IntN(800)) * time.Second)
		n.tick()
	case d < 9 && w.restores:
		w.parent.restore()
	case d < 12:
		n.doubt(!n.unsure)
	default:
		n.restart()
	}
}

// connect ends what sessions there are and begins new ones. Messages on the way are lost.
func (w *world) connect() {
	w.logf("connect")
	for _, n := range []*node{w.parent, w.child} {
		n.hangUp()
		n.inbox = nil
		n.dial()
	}
	w.parent.pump()
	w.child.pump()
}

// disconnect ends the session at one end; the other notices later, or never.
func (w *world) disconnect() {
	n := w.parent
	if w.rng.IntN(2) == 0 {
		n = w.child
	}
	w.logf("%s hangs up", n.name)
	n.hangUp()
	if w.rng.IntN(2) == 0 {
		n.other.hangUp()
	}
}

// settle lets everything come to rest with no faults, and answers what waits for a person.
func (w *world) settle() {
	w.logf("settle")
	w.calm = true
	w.parent.doubt(false)
	w.child.doubt(false)
	if w.rng.IntN(2) == 0 {
		w.connect()
		w.rest()
	}
	for _, n := range []*node{w.parent, w.child} {
		for !n.caughtUp() {
			n.catchUp()
		}
	}
	if w.parent.session == nil || w.child.session == nil || w.rng.IntN(2) == 0 {
		w.connect()
	}
	for round := range 100 {
		w.rest()
		w.agree(w.parent, w.child)
		w.agree(w.child, w.parent)
		done := w.parent.confirm()
		done = w.child.confirm() && done
		done = w.parent.retry() && done
		done = w.child.retry() && done
		if done {
			break
		}
		if round == 99 {
			w.errorf("does not come to rest")
		}
	}
	w.check(w.parent, w.child)
	w.check(w.child, w.parent)
	// Two routine comparisons must find nothing.
	for range 2 {
		w.now = w.now.Add(2 * feed.DefaultCompareEvery)
		w.rest()
	}
}

// rest delivers and applies until nothing is left to do.
func (w *world) rest() {
	skips := 0
	for range 100_000 {
		w.now = w.now.Add(time.Millisecond)
		w.parent.tick()
		w.child.tick()
		busy := w.parent.deliver()
		busy = w.child.deliver() || busy
		busy = w.parent.applyNext() || busy
		busy = w.child.applyNext() || busy
		if busy {
			continue
		}
		if skips++; skips > 4 || !w.skip() { // a session that is refused looks again and again
			return
		}
	}
	w.errorf("messages never end")
}

// skip lets the time go by until a session has something to do, unless that is long; busy tells that one has.
func (w *world) skip() (busy bool) {
	for _, n := range []*node{w.parent, w.child} {
		if at, ok := n.session.Deadline(); ok && at.Sub(w.now) < 2*time.Second {
			w.now, busy = at, true
		}
	}
	return busy
}

// agree holds the digests of two nodes at rest against each other, whatever is rejected or held back.
func (w *world) agree(from, to *node) {
	standing := to.ledger.Standing()
	if standing.Refusal != nil {
		return
	}
	if got, want := to.ledger.Root(), from.outbox.Root(); got != want {
		w.errorf("%s digest %v at rest, want %v", to.name, got, want)
	}
	for _, h := range standing.Held {
		if v, ok := to.ledger.Holds(h.Key); ok {
			w.errorf("%s: the removal of %s is held back, and it counts as held at %v", to.name, h.Key, v)
		}
	}
}

// check holds what a node should have sent against what the other has.
func (w *world) check(from, to *node) {
	want := from.truth()
	for key, number := range want {
		switch got, ok := to.held[key]; {
		case to.bad(key, number):
			if v, _ := to.ledger.Holds(key); v != versionOf(number) {
				w.errorf("%s: %s is rejected at %v, want it to count as held at %v", to.name, key, v, versionOf(number))
			}
		case !ok || got != number:
			w.errorf("%s holds %s at %d (%v), want %d", to.name, key, got, ok, number)
		}
		outcome, ok := from.outcomes[key]
		if !ok || outcome.Version != versionOf(number) || (outcome.Rejection != nil) != to.bad(key, number) {
			w.errorf("%s was told %+v (%v) of %s at %d", from.name, outcome, ok, key, number)
		}
	}
	for key, number := range to.held {
		if _, ok := want[key]; !ok {
			w.errorf("%s holds %s at %d, want it gone", to.name, key, number)
		}
	}
	if got, want := to.ledger.Root(), from.outbox.Root(); got != want {
		w.errorf("%s digest %v, want %v", to.name, got, want)
	}
	if st := from.session.Status(); !st.InSync {
		w.errorf("%s is not in sync: %+v", from.name, st)
	}
	if got := from.stats.Mismatches.Load(); got != 0 {
		w.errorf("%s: routine comparisons found %d mismatches, want 0", from.name, got)
	}
	if got := from.stats.Pending.Load(); got != 0 {
		w.errorf("%s: the gauge of pending keys says %d, want 0", from.name, got)
	}
}
