package placement

import (
	"cmp"
	"maps"
	"slices"
)

// Split divides total over the names in proportion to their weights by the method of the largest remainder: each gets
// its exact share rounded down, and what is left goes one by one. Who holds more than the rounded-down share in current
// comes first, then the larger remainder, then the name, so that little moves when weights or names change. Weights
// below 1 count as 1. The result has every name and sums to total.
func Split(total int32, weights map[string]int64, current map[string]int32) map[string]int32 {
	out := make(map[string]int32, len(weights))
	if len(weights) == 0 || total <= 0 {
		for name := range weights {
			out[name] = 0
		}
		return out
	}
	var sum int64
	for _, w := range weights {
		sum += max(w, 1)
	}
	remainder := make(map[string]int64, len(weights))
	left := total
	for name, w := range weights {
		share := int64(total) * max(w, 1)
		out[name] = int32(share / sum)
		remainder[name] = share % sum
		left -= out[name]
	}
	names := slices.SortedFunc(maps.Keys(weights), func(a, b string) int {
		return cmp.Or(
			cmp.Compare(keeps(b, current, out, remainder), keeps(a, current, out, remainder)),
			cmp.Compare(remainder[b], remainder[a]),
			cmp.Compare(a, b))
	})
	for _, name := range names[:left] {
		out[name]++
	}
	return out
}

// keeps is 1 for a name that already holds the extra replica which its remainder could earn it.
func keeps(name string, current, floor map[string]int32, remainder map[string]int64) int {
	if remainder[name] > 0 && current[name] > floor[name] {
		return 1
	}
	return 0
}
