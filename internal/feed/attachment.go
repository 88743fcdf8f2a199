package feed

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// What a session does to its Ledger.

// attach begins a session, which ends the authority of an earlier one.
func (l *Ledger) attach() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session++
	l.live, l.news = true, news{}
	clear(l.wanted)
	return l.session
}

// detach ends a session. What was given out may or may not have taken effect.
func (l *Ledger) detach(session uint64, given []Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != session {
		return
	}
	l.live, l.news = false, news{}
	for _, b := range given {
		l.unsettle(b)
	}
}

// attached tells whether a session is still the one that the ledger serves.
func (l *Ledger) attached(session uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session == session
}

// takeNews returns what is to be passed on to the sender. What is too much at once stays, and wakes the session again.
func (l *Ledger) takeNews() []Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, more := l.news.take()
	if more {
		l.signal()
	}
	return out
}

// believe checks a sender's position and fence. It returns why it is refused, or nil and remembers the fence.
func (l *Ledger) believe(p Position, f Fence) *Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	floor, highest := l.state.Floor, l.state.Fence
	refusal := &Refusal{Position: p, Fence: f, Floor: floor, Highest: highest}
	switch {
	case p.reaches(floor) && f.reaches(highest):
		l.refusal = nil
		l.state.Fence = f
		return nil
	case p.reaches(floor):
		refusal.Kind = RefusedFence
		refusal.Reason = fmt.Sprintf("fence %s is below %s, which a later owner showed", f, highest)
	case p == Position{}:
		refusal.Kind = RefusedFloor
		refusal.Reason = fmt.Sprintf("no position is stated yet, and %s was accepted before", floor)
	case p.Epoch == floor.Epoch:
		refusal.Kind = RefusedFloor
		refusal.Reason = fmt.Sprintf("revision %d is below %d, which was accepted before", p.Revision, floor.Revision)
	default:
		refusal.Kind = RefusedEpoch
		refusal.Reason = fmt.Sprintf("epoch %x is not the epoch %x that was accepted before", p.Epoch, floor.Epoch)
	}
	l.refusal = refusal
	return refusal
}

// compare returns whether the root is ours, and if not all digests. Where it is, nothing that was cleared for removal
// is still to be removed.
func (l *Ledger) compare(root Digest, p Position) (equal bool, digests *[Buckets]Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if root == l.table.root {
		clear(l.allowed)
		clear(l.passed)
		l.raise(p)
		return true, nil
	}
	copied := l.table.digests
	return false, &copied
}

func (l *Ledger) list(bucket int) []record.KeyVersion {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.list(bucket)
}

func (l *Ledger) rejections() []Rejection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.rejected), func(a, b Rejection) int { return a.Key.Compare(b.Key) })
}

// admission is what was taken from a batch because it need not or must not be applied.
type admission struct {
	// spared are records held already.
	spared []record.KeyVersion
	// held are removals that the guard holds back.
	held []record.Key
}

// admit takes from a batch what need not or must not be applied, and sets its State. A record that is held already may
// have to be applied yet where busy tells that another version of it is being applied.
func (l *Ledger) admit(b *Batch, now time.Time, busy func(record.Key) bool) (a admission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.Puts = slices.DeleteFunc(b.Puts, func(r *record.Record) bool {
		spare := l.admitPut(r) && !busy(r.Key)
		if spare {
			a.spared = append(a.spared, record.KeyVersion{Key: r.Key, Version: r.Version})
		}
		return spare
	})
	b.Removals = slices.DeleteFunc(b.Removals, func(r Removal) bool {
		pass := l.admitRemoval(r, now)
		if !pass {
			a.held = append(a.held, r.Key)
		}
		return !pass
	})
	b.State = l.snapshot()
	if b.Position.reaches(b.State.Floor) {
		b.State.Floor = b.Position
	}
	return a
}

// rejectedAmong returns what came to be rejected among records that were spared.
func (l *Ledger) rejectedAmong(spared []record.KeyVersion) (rejected []Rejection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kv := range spared {
		if r, ok := l.rejected[kv.Key]; ok && r.Version == kv.Version {
			rejected = append(rejected, r)
		}
	}
	return rejected
}

// admitPut tells whether the record is held already. A removal that was held back, or cleared, is off.
func (l *Ledger) admitPut(r *record.Record) bool {
	delete(l.allowed, r.Key)
	delete(l.passed, r.Key)
	delete(l.wanted, r.Key)
	if h, ok := l.held[r.Key]; ok {
		delete(l.held, r.Key)
		l.table.note(r.Key, h.Version)
	}
	_, rejected := l.rejected[r.Key]
	old, ok := l.table.get(r.Key)
	return ok && old.Version == r.Version && !rejected
}

// admitRemoval tells whether the removal may pass, and holds it back if not.
func (l *Ledger) admitRemoval(r Removal, now time.Time) bool {
	delete(l.wanted, r.Key)
	if r.Cause == record.CausePerson || l.unguarded {
		delete(l.held, r.Key)
		return true
	}
	if h, ok := l.held[r.Key]; ok {
		h.Cause = r.Cause
		l.held[r.Key] = h
		return false
	}
	old, holds := l.table.get(r.Key)
	_, allowed := l.allowed[r.Key]
	_, passed := l.passed[r.Key]
	if !holds || allowed || passed {
		return true
	}
	if l.state.Guard.passes(now, l.table.size+len(l.held)-len(l.passed)) {
		l.passed[r.Key] = struct{}{}
		return true
	}
	l.held[r.Key] = HeldRemoval{KeyVersion: record.KeyVersion{Key: r.Key, Version: old.Version}, Cause: r.Cause, Since: now}
	l.table.remove(r.Key)
	return false
}

// applied notes that a batch has taken effect but for the rejections.
func (l *Ledger) applied(b Batch, rejections map[record.Key]Rejection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range b.Puts {
		l.settle(r.Key, r.Version)
	}
	for _, r := range b.Removals {
		delete(l.allowed, r.Key)
		delete(l.passed, r.Key)
		delete(l.rejected, r.Key)
		l.table.remove(r.Key)
	}
	for key, r := range rejections {
		l.rejected[key] = r
	}
	l.weigh(b)
	l.raise(b.Position)
}

// settle notes what the holder now has under a key; if its removal was held back meanwhile, it stays so, and if it was
// forgotten meanwhile, that holds, too.
func (l *Ledger) settle(key record.Key, version record.Version) {
	delete(l.rejected, key)
	if _, wanted := l.wanted[key]; wanted {
		version = record.Version{}
	}
	if h, ok := l.held[key]; ok {
		h.Version = version
		l.held[key] = h
		return
	}
	l.table.note(key, version)
}

// unsettle notes that nobody knows whether a batch took effect.
func (l *Ledger) unsettle(b Batch) {
	for _, r := range b.Puts {
		l.settle(r.Key, record.Version{})
	}
	for _, r := range b.Removals {
		l.settle(r.Key, record.Version{})
	}
	l.weigh(b)
	l.raise(b.Position)
}

func (l *Ledger) raise(p Position) {
	if p.reaches(l.state.Floor) {
		l.state.Floor = p
	}
}
