// Package shard chooses among members for a key by rendezvous hashing (highest random weight, Thaler and Ravishankar
// 1998): Choose takes each key by itself, Deal deals all keys such that no member gets too much. Both are pure integer
// functions of members and keys: every process that knows the same members chooses the same, in any order of theirs, and
// a member that comes or goes changes little but the choices that it takes or leaves.
//
// Who the members are is for the caller to know; where they come from gossip, internal/shard/gossip supplies them. Any
// package may import this one; it imports none of ours.
package shard

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Choose returns the n members that score highest for key, best first; all of them when there are fewer.
func Choose(key string, members []string, n int) []string {
	type scored struct {
		member string
		score  uint64
	}
	all := make([]scored, len(members))
	for i, m := range members {
		all[i] = scored{m, xxhash.Sum64String(key + "\x00" + m)}
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.member, b.member))
	})
	out := make([]string, 0, min(n, len(all)))
	for _, s := range all[:min(max(n, 0), len(all))] {
		out = append(out, s.member)
	}
	return out
}
