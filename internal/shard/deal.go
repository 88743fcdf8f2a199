package shard

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Load is something to be dealt, and how much work it is. A Weight below 1 counts as 1.
type Load struct {
	Key    string
	Weight int64
}

// Deal deals loads to members by rendezvous hashing with bounded load (Mirrokni, Thorup and Zadimoghaddam, "Consistent
// Hashing with Bounded Loads", 2018): each goes to the member that scores highest for it and has room. A member has room
// below five quarters of its fair share, so that none has more than that and the largest weight. The heaviest loads choose
// first. No members get nothing.
func Deal(members []string, loads []Load) map[string]string {
	out := make(map[string]string, len(loads))
	if len(members) == 0 {
		return out
	}
	loads = slices.Clone(loads)
	var total int64
	for i := range loads {
		loads[i].Weight = max(loads[i].Weight, 1)
		total += loads[i].Weight
	}
	slices.SortFunc(loads, func(a, b Load) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(xxhash.Sum64String(a.Key), xxhash.Sum64String(b.Key)),
			cmp.Compare(a.Key, b.Key))
	})
	room := (total*5 + 4*int64(len(members)) - 1) / (4 * int64(len(members)))
	has := make(map[string]int64, len(members))
	for _, l := range loads {
		for _, m := range Choose(l.Key, members, len(members)) {
			if has[m] < room {
				has[m] += l.Weight
				out[l.Key] = m
				break
			}
		}
	}
	return out
}
