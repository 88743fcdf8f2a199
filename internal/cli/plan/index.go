package plan

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// index finds what contains a prefix, or is it. Prefixes overlap only where one contains the other.
type index[T any] map[netip.Prefix][]T

func (x index[T]) add(p netip.Prefix, v T) { x[p] = append(x[p], v) }

// around yields what is at the prefix and then at those that contain it, the smallest first.
func (x index[T]) around(p netip.Prefix) iter.Seq2[netip.Prefix, T] {
	return func(yield func(netip.Prefix, T) bool) {
		for bits := p.Bits(); bits >= 0; bits-- {
			q, _ := p.Addr().Prefix(bits)
			for _, v := range x[q] {
				if !yield(q, v) {
					return
				}
			}
		}
	}
}

// sorted yields all, by address, and what contains others before them.
func (x index[T]) sorted() iter.Seq2[netip.Prefix, T] {
	return func(yield func(netip.Prefix, T) bool) {
		for _, p := range slices.SortedFunc(maps.Keys(x), netip.Prefix.Compare) {
			for _, v := range x[p] {
				if !yield(p, v) {
					return
				}
			}
		}
	}
}

// meet tells whether addresses of two networks may be those of one cluster: the empty one is that of all clusters.
func meet(a, b string) bool { return a == b || a == "" || b == "" }
