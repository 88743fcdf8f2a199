package global

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// span is a prefix that somebody has.
type span struct {
	prefix netip.Prefix
	owner  string
}

func (s span) compare(o span) int {
	return cmp.Or(s.prefix.Addr().Compare(o.prefix.Addr()), cmp.Compare(s.prefix.Bits(), o.prefix.Bits()), strings.Compare(s.owner, o.owner))
}

// spans are the prefixes of several owners, in the order of addresses, so that what overlaps one is found without looking
// at all of them.
type spans struct {
	list []span
	// lengths counts the prefixes of each length.
	lengths [129]int
}

func (s *spans) add(p netip.Prefix, owner string) {
	one := span{p, owner}
	if i, there := slices.BinarySearchFunc(s.list, one, span.compare); !there {
		s.list = slices.Insert(s.list, i, one)
		s.lengths[p.Bits()]++
	}
}

func (s *spans) remove(p netip.Prefix, owner string) {
	if i, there := slices.BinarySearchFunc(s.list, span{p, owner}, span.compare); there {
		s.list = slices.Delete(s.list, i, i+1)
		s.lengths[p.Bits()]--
	}
}

// overlapping are those that overlap a prefix: what holds it, then itself and what lies in it.
func (s *spans) overlapping(p netip.Prefix) iter.Seq[span] {
	return func(yield func(span) bool) {
		for bits := range p.Bits() {
			if s.lengths[bits] == 0 {
				continue
			}
			wider := netip.PrefixFrom(p.Addr(), bits).Masked()
			for i := s.from(wider); i < len(s.list) && s.list[i].prefix == wider; i++ {
				if !yield(s.list[i]) {
					return
				}
			}
		}
		for i := s.from(p); i < len(s.list) && p.Contains(s.list[i].prefix.Addr()); i++ {
			if !yield(s.list[i]) {
				return
			}
		}
	}
}

// from is where a prefix is, or would be.
func (s *spans) from(p netip.Prefix) int {
	i, _ := slices.BinarySearchFunc(s.list, span{prefix: p}, span.compare)
	return i
}
