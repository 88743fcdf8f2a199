package feed_test

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

const (
	simKeys     = 60
	simImmortal = 30 // the first of them are never removed
)

// drifted is what a holder has that nobody sent.
const drifted = 1 << 40

// node is a tier: a store whose history an Outbox follows, what it holds from the other node, and one session.
type node struct {
	w     *world
	name  string
	other *node
	epoch uint64

	// history is the store: the nth entry is revision n+1. at is how far the process's mirror of it has come, loading
	// what of the state at that point is not in the Outbox yet.
	history []entry
	at      int
	loading []feed.Edit

	outbox   *feed.Outbox
	ledger   *feed.Ledger
	session  *feed.Session
	stats    *feed.Stats
	outcomes map[record.Key]feed.Outcome

	inbox []feed.Message
	todo  []feed.Batch
	// held and state are on disk.
	held  map[record.Key]int
	state feed.State
	last  int
	// odd are the records whose fate a holder changed: true if it cannot be made effective any more, false if it can.
	odd map[item]bool
	// unsure: its fence does not allow it to send.
	unsure bool
}

type item struct {
	key    record.Key
	number int
}

type entry struct {
	key    record.Key
	number int // 0 removes
	cause  record.Cause
}

func newNode(w *world, name string, epoch uint64) *node {
	n := &node{w: w, name: name, epoch: epoch, held: map[record.Key]int{}, stats: &feed.Stats{}, odd: map[item]bool{}}
	for i := range simImmortal {
		n.write(simKey(i), 1, 0)
	}
	for range w.rng.IntN(40) {
		n.mutate()
	}
	n.boot(len(n.history))
	return n
}

func simKey(i int) record.Key { return record.Key{Kind: "sim", Name: fmt.Sprintf("k%02d", i)} }

func versionOf(number int) (v record.Version) {
	binary.BigEndian.PutUint64(v[:], uint64(number))
	return v
}

func numberOf(v record.Version) int { return int(binary.BigEndian.Uint64(v[:])) }

// content is shared by all records: its size is what counts.
var content = make([]byte, 300<<10)

func simRecord(key record.Key, number int) *record.Record {
	return &record.Record{Key: key, Version: versionOf(number), Content: content[:(number*7919)%len(content)]}
}

// bad tells whether the node rejects a record.
func (n *node) bad(key record.Key, number int) bool {
	if odd, ok := n.odd[item{key, number}]; ok {
		return odd
	}
	return number%13 == 0
}

func (n *node) write(key record.Key, number int, cause record.Cause) {
	n.history = append(n.history, entry{key, number, cause})
}

// doubt has the node lose, or find again, the certainty that it may send.
func (n *node) doubt(unsure bool) {
	n.w.logf("%s unsure: %v", n.name, unsure)
	n.unsure = unsure
}

// mutate changes the store; the mirror follows by catchUp.
func (n *node) mutate() {
	i := n.w.rng.IntN(simKeys)
	if i >= simImmortal && n.w.rng.IntN(3) == 0 {
		n.write(simKey(i), 0, record.Cause(n.w.rng.IntN(3)))
		return
	}
	n.last++
	number := n.last + 1
	if n.w.rng.IntN(10) == 0 {
		number = 1 + n.w.rng.IntN(3) // content that was there before
	}
	n.write(simKey(i), number, 0)
}

// purge removes most of what can be, with nobody known to have asked for it.
func (n *node) purge() {
	n.w.logf("%s purges", n.name)
	for i := simImmortal; i < simKeys; i++ {
		if n.w.rng.IntN(10) > 0 {
			n.write(simKey(i), 0, record.CauseScope)
		}
	}
}

func (n *node) stateAt(revision int) map[record.Key]int {
	state := map[record.Key]int{}
	for _, e := range n.history[:revision] {
		if e.number == 0 {
			delete(state, e.key)
		} else {
			state[e.key] = e.number
		}
	}
	return state
}

func (n *node) truth() map[record.Key]int { return n.stateAt(len(n.history)) }

func (n *node) position() feed.Position {
	if n.epoch == 0 {
		return feed.Position{}
	}
	return feed.Position{Epoch: n.epoch, Revision: int64(n.at)}
}

// boot starts the process with a mirror at a revision, nothing of it loaded.
func (n *node) boot(revision int) {
	n.at = revision
	n.outbox = feed.NewOutbox()
	n.outcomes = map[record.Key]feed.Outcome{}
	n.loading = nil
	state := n.stateAt(revision)
	for i := range simKeys {
		if number, ok := state[simKey(i)]; ok {
			n.loading = append(n.loading, feed.Put(simRecord(simKey(i), number)))
		}
	}
	n.w.rng.Shuffle(len(n.loading), func(i, j int) { n.loading[i], n.loading[j] = n.loading[j], n.loading[i] })
	n.ledger = feed.NewLedger(n.state, func(yield func(record.KeyVersion) bool) {
		for key, number := range n.held {
			if !yield(record.KeyVersion{Key: key, Version: versionOf(number)}) {
				return
			}
		}
	})
}

func (n *node) caughtUp() bool {
	return len(n.loading) == 0 && n.outbox.Complete() && n.at == len(n.history)
}

// catchUp loads a part of the state, or follows the store by an entry or more.
func (n *node) catchUp() {
	if !n.outbox.Complete() {
		part := min(len(n.loading), 1+n.w.rng.IntN(20))
		n.outbox.Update(n.position(), n.loading[:part]...)
		n.loading = n.loading[part:]
		n.outbox.SetComplete(len(n.loading) == 0)
	} else if n.at < len(n.history) {
		var edits []feed.Edit
		for range min(len(n.history)-n.at, 1+n.w.rng.IntN(5)) {
			e := n.history[n.at]
			n.at++
			if e.number == 0 {
				edits = append(edits, feed.Remove(e.key, e.cause))
			} else {
				edits = append(edits, feed.Put(simRecord(e.key, e.number)))
			}
		}
		n.outbox.Update(n.position(), edits...)
	}
	n.pump()
}

// restart kills the process, in the middle of what it was applying, and starts one that may lag behind.
func (n *node) restart() {
	n.w.logf("%s restarts", n.name)
	if len(n.todo) > 0 {
		n.applyPart(n.todo[0])
	}
	n.session, n.todo, n.inbox = nil, nil, nil
	n.stats.Pending.Store(0)
	revision := len(n.history)
	if n.epoch != 0 && n.w.rng.IntN(2) == 0 {
		revision -= n.w.rng.IntN(min(revision-simImmortal, 40) + 1)
	}
	n.boot(revision)
}

// restore brings the store back to an older copy.
func (n *node) restore() {
	n.w.logf("%s is restored", n.name)
	n.history = n.history[:simImmortal+n.w.rng.IntN(len(n.history)-simImmortal+1)]
	n.restart()
	n.boot(len(n.history))
}

// say passes on what a holder may say to its Ledger.
func (n *node) say() {
	rejected := n.ledger.Standing().Rejected
	key := simKey(n.w.rng.IntN(simKeys))
	version, _ := n.ledger.Holds(key)
	held, holds := n.held[key]
	switch n.w.rng.IntN(4) {
	case 0:
		if holds {
			n.w.logf("%s: %s drifts", n.name, key)
			n.held[key] = drifted
		}
		n.ledger.Forget(key)
	case 1:
		if holds && version == versionOf(held) {
			n.w.logf("%s: %s is spoilt", n.name, key)
			n.odd[item{key, held}] = true
			delete(n.held, key)
			n.ledger.Reject(feed.Rejection{Key: key, Version: version, Reason: "Spoilt"})
		}
	default:
		if len(rejected) == 0 {
			break
		}
		r := rejected[n.w.rng.IntN(len(rejected))]
		if r.Version.IsZero() || n.w.rng.IntN(2) == 0 {
			n.ledger.Forget(r.Key)
			break
		}
		n.w.logf("%s: %s takes effect after all", n.name, r.Key)
		n.held[r.Key] = numberOf(r.Version)
		n.odd[item{r.Key, numberOf(r.Version)}] = false
		n.ledger.Accept(record.KeyVersion{Key: r.Key, Version: r.Version})
	}
	n.pump()
}

// confirm answers what waits for a person; done tells that nothing does.
func (n *node) confirm() (done bool) {
	done = true
	for _, what := range []feed.Confirmation{feed.ConfirmRemovals, feed.ConfirmFloor, feed.ConfirmEpoch} {
		if what != feed.ConfirmRemovals && !n.w.calm {
			continue
		}
		if _, err := n.ledger.Confirm(what); err == nil {
			n.w.logf("%s: confirmed %s", n.name, what)
			n.state = n.ledger.State()
			done = false
		}
	}
	n.pump()
	return done
}

// retry has removals that were rejected sent again; done tells that there are none.
func (n *node) retry() (done bool) {
	done = true
	for _, r := range n.ledger.Standing().Rejected {
		if r.Version.IsZero() {
			n.ledger.Forget(r.Key)
			done = false
		}
	}
	n.pump()
	return done
}

// effect makes some of a batch effective: every item that yes holds for.
func (n *node) effect(b feed.Batch, yes func() bool) (rejections []feed.Rejection) {
	for _, r := range b.Puts {
		number := numberOf(r.Version)
		if n.bad(r.Key, number) {
			rejections = append(rejections, feed.Rejection{Key: r.Key, Reason: "Bad", Message: "by its number"})
		} else if yes() {
			n.held[r.Key] = number
		}
	}
	for _, r := range b.Removals {
		if slices.ContainsFunc(n.other.history[:simImmortal], func(e entry) bool { return e.key == r.Key }) {
			n.w.errorf("%s is told to remove %s, which was never removed", n.name, r.Key)
		}
		if !n.w.calm && n.w.rng.IntN(20) == 0 {
			rejections = append(rejections, feed.Rejection{Key: r.Key, Reason: "Stuck"})
		} else if yes() {
			delete(n.held, r.Key)
		}
	}
	return rejections
}

// applyPart is an application that is cut off.
func (n *node) applyPart(b feed.Batch) {
	n.effect(b, func() bool { return n.w.rng.IntN(2) == 0 })
	if n.w.rng.IntN(2) == 0 {
		n.state = b.State
	}
}

// applyNext applies the oldest batch; busy tells that there was one.
func (n *node) applyNext() (busy bool) {
	if len(n.todo) == 0 {
		return false
	}
	b := n.todo[0]
	n.todo = n.todo[1:]
	n.apply(b)
	n.pump()
	return true
}

func (n *node) apply(b feed.Batch) {
	if floor := n.state.Floor; b.Position.Epoch == floor.Epoch && b.Position.Revision < floor.Revision {
		n.w.errorf("%s is given a batch at %v below its floor %v", n.name, b.Position, floor)
	}
	if n.state.Floor.Revision < b.Position.Revision {
		n.state.Floor = b.Position
	}
	rejections := n.effect(b, func() bool { return true })
	if b.State.Floor != n.state.Floor {
		n.w.errorf("%s is given floor %v with a batch at %v, want %v", n.name, b.State.Floor, b.Position, n.state.Floor)
	}
	n.state = b.State
	n.session.Applied(b.ID, rejections)
}

// failApply has the application of a batch fail, which ends the session.
func (n *node) failApply() {
	if len(n.todo) == 0 {
		return
	}
	n.w.logf("%s: applying fails", n.name)
	n.applyPart(n.todo[0])
	n.todo = nil
	n.hangUp()
}
