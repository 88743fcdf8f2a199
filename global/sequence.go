package global

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// sequence orders the writes of one helping: narrow first, widen last. They may go out in several transactions, and
// reach a zone in several batches, which keep their order; so at no moment does a zone allow, or see, more than it did
// before and more than it will.
//
// First come policies that take something away or are new, then what first was given with the audiences that grow, then
// what applications otherwise have, then policies that only allow more, then audiences that shrink: a host may only
// vanish when nobody lists it any more.
func sequence(snapshot *store.Snapshot, first []store.Write, planned map[string][]store.Write, last []store.Write) []store.Write {
	var narrow, rest, wide []store.Write
	for _, name := range slices.Sorted(maps.Keys(planned)) {
		for _, w := range planned[name] {
			switch {
			case w.Key.Kind != record.KindPolicy || w.Delete:
				rest = append(rest, w)
			case onlyWidens(snapshot, w.Record):
				wide = append(wide, w)
			default:
				narrow = append(narrow, w)
			}
		}
	}
	return slices.Concat(narrow, first, rest, wide, last)
}

// onlyWidens tells whether a policy record takes nothing away from the one in force.
func onlyWidens(snapshot *store.Snapshot, r record.Record) bool {
	held, ok := snapshot.Get(r.Key)
	if !ok {
		return false
	}
	before, errBefore := record.DecodePolicy(held.Record)
	after, errAfter := record.DecodePolicy(r)
	return errBefore == nil && errAfter == nil && widens(before, after)
}
