// Package scope computes which of a tier's records each child needs: the applications assigned to it, with their
// revisions, service records, policies and audiences; of what they depend on the service records and audiences, and where
// that is in other children's clusters; the clusters that lie in the child; the grants of places at or below it, and of the
// one above it, its parent; and of address space all pools, with the prefixes and the claims that name the child or what
// lies below it. Scope follows from the records alone; nobody configures it.
//
// Index is incremental. It keeps, for each key, how many reasons each child has to hold it, so that a change costs in
// proportion to itself and to the children concerned, and a record leaves a view when its last reason goes. It is not
// safe for concurrent use: one loop owns it. Tiers import this package; it knows the store's deltas and the records'
// meaning, and no tier.
package scope

import (
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Level says what a tier's children are.
type Level int

// The levels: Global's children are regions, a region's are zones.
const (
	Regions Level = iota
	Zones
)

// Index holds the views of all children.
type Index struct {
	level    Level
	keys     map[record.Key]*holding
	children map[string]int
	lookouts map[string]*lookout
	// common are the records that every child has.
	common map[record.Key]struct{}
}

// holding is one key: the stored record, if there is one, and the reasons of each child.
type holding struct {
	record  *record.Record
	reasons map[string]int
}

// NewIndex returns an empty index of a tier whose children are of the given level.
func NewIndex(level Level) *Index {
	return &Index{level: level, keys: map[record.Key]*holding{}, children: map[string]int{}, lookouts: map[string]*lookout{},
		common: map[record.Key]struct{}{}}
}

// Children is the number of children that have any reason to hold anything.
func (x *Index) Children() int { return len(x.children) }

// Apply takes changes of the tier's store in their order and returns the edits of each child's view. In a child's
// edits additions and changes come before removals, so that what a record refers to is there before it, and goes
// after it.
func (x *Index) Apply(changes []store.Change) map[string][]feed.Edit {
	t := touched{}
	for _, c := range changes {
		x.shift(c, t)
		x.hold(c, t)
	}
	return x.edits(t)
}

// shift moves the reasons that a change gives and takes, the new ones first.
func (x *Index) shift(c store.Change, t touched) {
	before, after := x.read(c.Old), x.read(c.New)
	cause := causeOfShift(c)
	for _, r := range after.reasons {
		x.add(r, t)
	}
	for _, callee := range after.callees {
		x.call(after.child, callee, t)
	}
	for _, r := range before.reasons {
		x.drop(r, cause, t)
	}
	for _, callee := range before.callees {
		x.uncall(before.child, callee, cause, t)
	}
	x.sight(before.location, after.location, cause, t)
}

// hold notes the record itself and touches all children that have a reason for it.
func (x *Index) hold(c store.Change, t touched) {
	if stays(c.Key.Kind) {
		return
	}
	if x.forAll(c.Key) {
		x.share(c, t)
	}
	h := x.keys[c.Key]
	if c.New == nil {
		if h == nil {
			return
		}
		h.record = nil
		if len(h.reasons) == 0 {
			delete(x.keys, c.Key)
		}
	} else {
		if h == nil {
			h = x.holding(c.Key)
		}
		h.record = &c.New.Record
	}
	for child := range h.reasons {
		t.touch(child, c.Key, c.Cause)
	}
}

// share gives or takes every child's one reason for a record that all have.
func (x *Index) share(c store.Change, t touched) {
	_, had := x.common[c.Key]
	switch {
	case c.New != nil && !had:
		x.common[c.Key] = struct{}{}
		for child := range x.children {
			x.holding(c.Key).reasons[child]++
			t.touch(child, c.Key, c.Cause)
		}
	case c.New == nil && had:
		delete(x.common, c.Key)
		for child := range x.children {
			x.unhold(child, c.Key)
			t.touch(child, c.Key, c.Cause)
		}
	}
}

func (x *Index) add(r reason, t touched) {
	if x.children[r.child]++; x.children[r.child] == 1 {
		for key := range x.common {
			x.holding(key).reasons[r.child]++
			t.touch(r.child, key, record.CauseScope)
		}
	}
	x.holding(r.key).reasons[r.child]++
	t.touch(r.child, r.key, record.CauseScope)
}

func (x *Index) drop(r reason, cause record.Cause, t touched) {
	x.unhold(r.child, r.key)
	t.touch(r.child, r.key, cause)
	if x.children[r.child]--; x.children[r.child] > 0 {
		return
	}
	delete(x.children, r.child)
	for key := range x.common {
		x.unhold(r.child, key)
		t.touch(r.child, key, cause)
	}
}

func (x *Index) holding(key record.Key) *holding {
	h := x.keys[key]
	if h == nil {
		h = &holding{reasons: map[string]int{}}
		x.keys[key] = h
	}
	return h
}

func (x *Index) unhold(child string, key record.Key) {
	h := x.keys[key]
	if h.reasons[child]--; h.reasons[child] > 0 {
		return
	}
	delete(h.reasons, child)
	if h.record == nil && len(h.reasons) == 0 {
		delete(x.keys, key)
	}
}

// Holds tells whether a child's view has the key, and the record.
func (x *Index) Holds(child string, key record.Key) (record.Record, bool) {
	h := x.keys[key]
	if h == nil || h.record == nil || h.reasons[child] == 0 {
		return record.Record{}, false
	}
	return *h.record, true
}
