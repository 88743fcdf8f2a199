package space

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"slices"
)

// ErrFull: no free prefix is large enough.
var ErrFull = errors.New("no free prefix is large enough")

// Taken says that what was asked for overlaps what is taken.
type Taken struct {
	// Asked is what was to be taken, or given up.
	Asked netip.Prefix
	// By is the lowest prefix in its way.
	By netip.Prefix
}

// Error names both.
func (e *Taken) Error() string { return fmt.Sprintf("%s overlaps %s, which is taken", e.Asked, e.By) }

// Space is the ranges of one family, and what of them is free.
type Space struct {
	length int // of a single address: 32 or 128
	ranges []span
	tree   tree
	// taken counts the prefixes that are taken, by length.
	taken [129]int
}

// span is one range, and its node.
type span struct {
	prefix netip.Prefix
	root   ref
}

// New makes an empty space of IPv4, or of IPv6.
func New(ipv6 bool) *Space {
	if ipv6 {
		return &Space{length: 128}
	}
	return &Space{length: 32}
}

// Ranges are the space's, in their order.
func (s *Space) Ranges() []netip.Prefix {
	out := make([]netip.Prefix, 0, len(s.ranges))
	for _, r := range s.ranges {
		out = append(out, r.prefix)
	}
	return out
}

// Add adds a range, all free. One that overlaps another is refused.
func (s *Space) Add(p netip.Prefix) error {
	if err := s.check(p); err != nil {
		return err
	}
	for _, r := range s.ranges {
		if r.prefix.Overlaps(p) {
			return fmt.Errorf("range %s overlaps range %s", p, r.prefix)
		}
	}
	at, _ := slices.BinarySearchFunc(s.ranges, p, func(r span, p netip.Prefix) int { return r.prefix.Addr().Compare(p.Addr()) })
	s.ranges = slices.Insert(s.ranges, at, span{p, s.tree.add(uint8(p.Bits()))})
	return nil
}

// Remove takes a range away again. While anything of it is taken that is refused with a *Taken.
func (s *Space) Remove(p netip.Prefix) error {
	i := slices.IndexFunc(s.ranges, func(r span) bool { return r.prefix == p })
	if i < 0 {
		return fmt.Errorf("%s is no range of this space", p)
	}
	r := s.ranges[i]
	if n := s.tree.nodes[r.root]; n.inner || n.largest == none {
		return &Taken{Asked: p, By: s.tree.lowest(r.root, p)}
	}
	s.tree.drop(r.root)
	s.ranges = slices.Delete(s.ranges, i, i+1)
	return nil
}

// Take takes the free prefix of a length that leaves the largest others whole; of several that do, the lowest. The error
// is ErrFull where there is none.
func (s *Space) Take(length int) (netip.Prefix, error) {
	if length < 0 || length > s.length {
		return netip.Prefix{}, fmt.Errorf("length %d: want 0 to %d", length, s.length)
	}
	best, largest := -1, -1
	for i, r := range s.ranges {
		if n := int(s.tree.nodes[r.root].largest); n <= length && n > largest {
			best, largest = i, n
		}
	}
	if best < 0 {
		return netip.Prefix{}, ErrFull
	}
	r := s.ranges[best]
	p := s.tree.find(r.root, r.prefix, length)
	s.mark(r, p, false)
	return p, nil
}

// TakeAt takes a certain prefix. The error is a *Taken where any of it is taken already.
func (s *Space) TakeAt(p netip.Prefix) error {
	r, by, err := s.look(p)
	switch {
	case err != nil:
		return err
	case by.IsValid():
		return &Taken{Asked: p, By: by}
	}
	s.mark(r, p, false)
	return nil
}

// Release gives a prefix back that was taken as it is: not a part of one, and not several at once.
func (s *Space) Release(p netip.Prefix) error {
	r, by, err := s.look(p)
	switch {
	case err != nil:
		return err
	case !by.IsValid():
		return fmt.Errorf("%s is free", p)
	case by != p:
		return fmt.Errorf("%s was not taken as such: %s was", p, by)
	}
	s.mark(r, p, true)
	return nil
}

// Holder is the prefix, taken as such, that p lies in, or the lowest of those that lie in p; invalid where all of p is
// free. The error says that p is not of this space.
func (s *Space) Holder(p netip.Prefix) (netip.Prefix, error) {
	_, by, err := s.look(p)
	return by, err
}

// All goes through what is taken, in the order of addresses.
func (s *Space) All() iter.Seq[netip.Prefix] { return s.leaves(false) }

// Free goes through the largest prefixes that are free, in the order of addresses.
func (s *Space) Free() iter.Seq[netip.Prefix] { return s.leaves(true) }

func (s *Space) leaves(free bool) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for _, r := range s.ranges {
			if !s.tree.walk(r.root, r.prefix, free, yield) {
				return
			}
		}
	}
}

// Largest is the length of the largest free prefix; ok is false where nothing is free.
func (s *Space) Largest() (length int, ok bool) {
	largest := uint8(none)
	for _, r := range s.ranges {
		largest = min(largest, s.tree.nodes[r.root].largest)
	}
	return int(largest), largest != none
}

// Addresses are how many there are in all ranges, and how many are taken. What has more than 53 bits is rounded.
func (s *Space) Addresses() (all, taken float64) {
	for _, r := range s.ranges {
		all += math.Ldexp(1, s.length-r.prefix.Bits())
	}
	for bits, n := range s.taken {
		if n > 0 {
			taken += math.Ldexp(float64(n), s.length-bits)
		}
	}
	return all, taken
}

// mark takes or frees a prefix, and counts.
func (s *Space) mark(r span, p netip.Prefix, free bool) {
	s.tree.mark(r.root, r.prefix.Bits(), p, free)
	if free {
		s.taken[p.Bits()]--
	} else {
		s.taken[p.Bits()]++
	}
}

// look finds the range of a prefix, and the lowest taken prefix that overlaps it.
func (s *Space) look(p netip.Prefix) (r span, by netip.Prefix, err error) {
	if err := s.check(p); err != nil {
		return span{}, netip.Prefix{}, err
	}
	i := slices.IndexFunc(s.ranges, func(r span) bool { return r.prefix.Bits() <= p.Bits() && r.prefix.Contains(p.Addr()) })
	if i < 0 {
		return span{}, netip.Prefix{}, fmt.Errorf("%s lies in no range of this space", p)
	}
	r = s.ranges[i]
	node, length := r.root, r.prefix.Bits()
	for ; s.tree.nodes[node].inner && length < p.Bits(); length++ {
		node = s.tree.nodes[node].children[bit(p.Addr(), length)]
	}
	if n := s.tree.nodes[node]; !n.inner && n.largest != none {
		return r, netip.Prefix{}, nil
	}
	return r, s.tree.lowest(node, netip.PrefixFrom(p.Addr(), length).Masked()), nil
}

// check refuses a prefix that is none, or of the other family.
func (s *Space) check(p netip.Prefix) error {
	if err := Check(p); err != nil {
		return err
	}
	if p.Addr().BitLen() != s.length {
		return fmt.Errorf("%s is not of this space's family", p)
	}
	return nil
}
