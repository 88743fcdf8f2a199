package feed

import (
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// State is what a receiver persists beside what it holds: the zero State is a receiver that never accepted anything.
type State struct {
	// Floor is the highest position accepted.
	Floor Position `json:"floor,omitzero"`
	// Fence is the highest fence seen.
	Fence Fence `json:"fence,omitzero"`
	Guard Guard `json:"guard,omitzero"`
}

// Confirmation is what a person confirms.
type Confirmation string

// The confirmations.
const (
	// ConfirmRemovals lets the removals pass that are held back now.
	ConfirmRemovals Confirmation = "removals"
	// ConfirmEpoch accepts the history of the store that is refused now.
	ConfirmEpoch Confirmation = "epoch"
	// ConfirmFloor accepts the position, and the fence, that is refused now.
	ConfirmFloor Confirmation = "floor"
)

// HeldRemoval is a removal that the guard holds back.
type HeldRemoval struct {
	record.KeyVersion
	Cause record.Cause
	Since time.Time
}

// Ledger is what this end holds of the other's Outbox, as the other should believe it: a rejected record counts as
// held, a key whose removal is held back counts as removed, so that digests agree. It outlives sessions and is attached
// to one at a time. It keeps no content, and no clock: times come from the session.
type Ledger struct {
	mu    sync.Mutex // guards all below
	table table
	state State
	// rejected are the keys that did not take effect; a rejected removal has no version and is not in the table.
	rejected map[record.Key]Rejection
	// held are the removals held back; their keys are not in the table.
	held map[record.Key]HeldRemoval
	// allowed are removals that were confirmed, passed those that the guard let through and that are not yet applied.
	allowed, passed map[record.Key]struct{}
	// wanted are keys that were forgotten and have not been sent again since.
	wanted    map[record.Key]struct{}
	refusal   *Refusal
	unguarded bool
	allowance allowance
	// session counts the sessions; live tells whether the last one goes on.
	session uint64
	live    bool
	news    news
	wake    chan struct{}
}

// NewLedger returns the ledger of what the holder has, with what it persisted.
func NewLedger(state State, inventory iter.Seq[record.KeyVersion]) *Ledger {
	l := &Ledger{
		state:    State{Floor: state.Floor, Fence: state.Fence, Guard: state.Guard.clone()},
		rejected: map[record.Key]Rejection{},
		held:     map[record.Key]HeldRemoval{},
		allowed:  map[record.Key]struct{}{},
		passed:   map[record.Key]struct{}{},
		wanted:   map[record.Key]struct{}{},
		wake:     make(chan struct{}, 1),
	}
	if inventory != nil {
		for kv := range inventory {
			l.table.note(kv.Key, kv.Version)
		}
	}
	return l
}

// Unguarded makes a ledger whose guard lets everything pass, for what is only reported and comes again by itself. Call
// it before the first session.
func (l *Ledger) Unguarded() *Ledger {
	l.unguarded = true
	return l
}

// Wake receives when there is something for the session to pass on.
func (l *Ledger) Wake() <-chan struct{} { return l.wake }

// State is what to persist, as of now. The holder persists Batch.State with each batch, and this after Confirm. It may
// also do so at other times: a comparison that finds nothing raises the floor, too.
func (l *Ledger) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot()
}

func (l *Ledger) snapshot() State {
	return State{Floor: l.state.Floor, Fence: l.state.Fence, Guard: l.state.Guard.clone()}
}

// Forget says that what is held under these keys is no longer known: drifted, lost, or worth another try after a
// rejection. The sender sends them again, at once if there is a session. It cannot forget a removal held back.
func (l *Ledger) Forget(keys ...record.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		l.forget(key)
	}
	l.signal()
}

// forget leaves a key that is held at no version, so that a record is sent again, and so is a removal.
func (l *Ledger) forget(key record.Key) {
	if _, held := l.held[key]; held {
		return
	}
	_, holds := l.table.get(key)
	_, rejected := l.rejected[key]
	if holds || rejected {
		delete(l.rejected, key)
		l.table.note(key, record.Version{})
	}
	if l.live {
		l.wanted[key] = struct{}{}
		l.news.addWant(key)
	}
}

// Accept says that rejected records have taken effect after all (the obstacle went, the holder had kept the content).
// One whose version has changed since is passed over.
func (l *Ledger) Accept(kvs ...record.KeyVersion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kv := range kvs {
		if r, ok := l.rejected[kv.Key]; ok && r.Version == kv.Version {
			delete(l.rejected, kv.Key)
			if l.live {
				l.news.addResult(kv.Key, result{version: kv.Version})
			}
		}
	}
	l.signal()
}

// Reject says that records which had taken effect no longer do, and cannot be made to. One whose version has changed
// since is passed over.
func (l *Ledger) Reject(rejections ...Rejection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rejections {
		if held, ok := l.table.get(r.Key); ok && held.Version == r.Version {
			l.rejected[r.Key] = r
			if l.live {
				l.news.addResult(r.Key, result{rejection: &r})
			}
		}
	}
	l.signal()
}

// Confirm lets pass what is held back or refused now, and returns how many keys that concerns (0 for a refusal). The
// sender is asked to compare again, so that its latest state decides. The holder persists State afterwards.
func (l *Ledger) Confirm(what Confirmation) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := 0
	switch {
	case what == ConfirmRemovals && l.state.Guard.Tripped:
		keys = l.release()
	case what == ConfirmEpoch && l.refuses(RefusedEpoch),
		what == ConfirmFloor && (l.refuses(RefusedFloor) || l.refuses(RefusedFence)):
		l.state.Floor, l.state.Fence = l.refusal.Position, l.refusal.Fence
		l.refusal = nil
	case what != ConfirmRemovals && what != ConfirmEpoch && what != ConfirmFloor:
		return 0, fmt.Errorf("confirming %q: not one of %s, %s, %s", what, ConfirmRemovals, ConfirmEpoch, ConfirmFloor)
	default:
		return 0, fmt.Errorf("confirming %s: nothing waits for it", what)
	}
	l.news.again = l.live
	l.signal()
	return keys, nil
}

// release puts the removals held back where the next comparison finds them, and lets them pass then.
func (l *Ledger) release() int {
	for key, h := range l.held {
		l.table.note(key, h.Version)
		l.allowed[key] = struct{}{}
	}
	released := len(l.held)
	clear(l.held)
	l.state.Guard = Guard{}
	return released
}

func (l *Ledger) refuses(kind RefusalKind) bool { return l.refusal != nil && l.refusal.Kind == kind }

func (l *Ledger) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
