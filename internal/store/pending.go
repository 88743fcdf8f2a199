package store

import (
	"bytes"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// pending merges changes by key. Its size is bounded by the number of distinct keys, however many changes there were.
type pending struct {
	changes map[record.Key]Change
	meta    map[string]struct{}
}

func newPending() pending {
	return pending{changes: map[record.Key]Change{}, meta: map[string]struct{}{}}
}

// change adds one change: what was there before the first stays Old, the latest says New and Cause. A key that is back
// at the version it started from is dropped.
func (p pending) change(c Change) {
	if earlier, ok := p.changes[c.Key]; ok {
		c.Old = earlier.Old
	}
	if sameEntry(c.Old, c.New) {
		delete(p.changes, c.Key)
		return
	}
	p.changes[c.Key] = c
}

func (p pending) sorted() []Change {
	changes := make([]Change, 0, len(p.changes))
	for _, c := range p.changes {
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Key.Compare(b.Key) })
	return changes
}

// between is what it takes to come from one snapshot to another: removals that nobody is known to have asked for, as
// there is no history to say.
func between(old, next *Snapshot) Delta {
	delta := Delta{Position: next.position, Meta: map[string][]byte{}}
	for e := range old.Entries() {
		if _, ok := next.Get(e.Key); !ok {
			delta.Changes = append(delta.Changes, Change{Key: e.Key, Old: e, Cause: record.CauseFound})
		}
	}
	for e := range next.Entries() {
		if was, _ := old.Get(e.Key); !sameEntry(was, e) {
			delta.Changes = append(delta.Changes, Change{Key: e.Key, Old: was, New: e})
		}
	}
	slices.SortFunc(delta.Changes, func(a, b Change) int { return a.Key.Compare(b.Key) })
	for name := range old.meta {
		if next.meta[name] == nil {
			delta.Meta[name] = nil
		}
	}
	for name, value := range next.meta {
		if was := old.meta[name]; was == nil || !bytes.Equal(was, value) {
			delta.Meta[name] = value
		}
	}
	return delta
}

// sameEntry tells whether two entries of one key have the same content.
func sameEntry(a, b *Entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Version == b.Version
}
