package az

import (
	"cmp"
	"slices"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// shift is what a round of compilation changed in one cluster.
type shift struct {
	edits []feed.Edit
	// units are the applications that were compiled, or could not be; apps that are gone are in gone.
	units []*unit
	gone  []string
	// complete: everything that the cluster should hold is known.
	complete bool
}

// sort orders the edits; of one key that was put and removed, the last edit is the one that counts, and order among one
// key's edits stays.
func (s *shift) sort() {
	last := make(map[record.Key]int, len(s.edits))
	for i, e := range s.edits {
		last[e.Key] = i
	}
	edits := s.edits[:0]
	for i, e := range s.edits {
		if last[e.Key] == i {
			edits = append(edits, e)
		}
	}
	slices.SortStableFunc(edits, func(a, b feed.Edit) int {
		if (a.Record == nil) != (b.Record == nil) {
			if a.Record == nil {
				return 1
			}
			return -1
		}
		by := cmp.Compare(object.Rank(a.Key), object.Rank(b.Key))
		if a.Record == nil {
			by = -by
		}
		return by
	})
	s.edits = edits
}
