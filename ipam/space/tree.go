package space

import "net/netip"

// ref points to a node of a tree.
type ref uint32

// node is a prefix. It has both children or none; without, it is free or taken as a whole.
type node struct {
	children [2]ref
	// largest is the length of the shortest free prefix at or below; none if there is none.
	largest uint8
	inner   bool
}

// none is longer than any prefix.
const none = 255

// tree holds the nodes of all ranges of a space. They refer to each other by number, so that a million of them are one
// object to the garbage collector.
type tree struct {
	nodes []node
	spare []ref // free for use
}

// add makes a node without children.
func (t *tree) add(largest uint8) ref {
	n := node{largest: largest}
	if last := len(t.spare) - 1; last >= 0 {
		r := t.spare[last]
		t.spare = t.spare[:last]
		t.nodes[r] = n
		return r
	}
	t.nodes = append(t.nodes, n)
	return ref(len(t.nodes) - 1)
}

// drop gives up a node without children.
func (t *tree) drop(r ref) { t.spare = append(t.spare, r) }

// split gives a node without children two halves like itself. length is the node's.
func (t *tree) split(r ref, length int) {
	largest := t.nodes[r].largest
	if largest != none {
		largest = uint8(length + 1)
	}
	low := t.add(largest)
	high := t.add(largest)
	t.nodes[r].children, t.nodes[r].inner = [2]ref{low, high}, true
}

// settle makes a node right again after a change below: two free halves are one whole.
func (t *tree) settle(r ref, length int) {
	n := &t.nodes[r]
	low, high := t.nodes[n.children[0]], t.nodes[n.children[1]]
	if free := uint8(length + 1); !low.inner && !high.inner && low.largest == free && high.largest == free {
		t.drop(n.children[0])
		t.drop(n.children[1])
		*n = node{largest: uint8(length)}
		return
	}
	n.largest = min(low.largest, high.largest)
}

// find goes from a node, whose prefix is at, to the free prefix of a length that leaves the least behind: at each fork to
// the half whose largest free prefix is the smaller one that will do, and of equals to the lower. The node has room.
func (t *tree) find(r ref, at netip.Prefix, length int) netip.Prefix {
	for t.nodes[r].inner {
		children := t.nodes[r].children
		low, high := int(t.nodes[children[0]].largest), int(t.nodes[children[1]].largest)
		side := 0
		if low > length || high <= length && high > low {
			side = 1
		}
		r, at = children[side], half(at, side)
	}
	return netip.PrefixFrom(at.Addr(), length)
}

// mark makes the prefix p, which lies at or below the node r of a length, free or taken as a whole. What is taken is free
// before, and the other way round.
func (t *tree) mark(r ref, length int, p netip.Prefix, free bool) {
	if length == p.Bits() {
		t.nodes[r].largest = none
		if free {
			t.nodes[r].largest = uint8(p.Bits())
		}
		return
	}
	if !t.nodes[r].inner {
		t.split(r, length)
	}
	t.mark(t.nodes[r].children[bit(p.Addr(), length)], length+1, p, free)
	t.settle(r, length)
}

// lowest goes from a node that is not free as a whole to the lowest prefix that is taken.
func (t *tree) lowest(r ref, at netip.Prefix) netip.Prefix {
	for t.nodes[r].inner {
		side := 0
		if low := t.nodes[t.nodes[r].children[0]]; !low.inner && low.largest != none {
			side = 1
		}
		r, at = t.nodes[r].children[side], half(at, side)
	}
	return at
}

// walk calls yield with the prefixes that are taken, or those that are free, in their order, until it returns false.
func (t *tree) walk(r ref, at netip.Prefix, free bool, yield func(netip.Prefix) bool) bool {
	n := t.nodes[r]
	if !n.inner {
		return (n.largest != none) != free || yield(at)
	}
	return t.walk(n.children[0], half(at, 0), free, yield) && t.walk(n.children[1], half(at, 1), free, yield)
}
