package delegation

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

// Most is how many prefixes of a pool a place holds at most: what it may want, and what its parent gives it. A pool whose
// places come near it delegates prefixes that are too long.
const Most = 1024

// Terms are how a pool is handed to a place.
type Terms struct {
	// Length is that of the prefixes which the place gets; 0: it gets none.
	Length int
	// LowWater and HighWater are percentages, as of record.Pool.
	LowWater, HighWater int
	// Needed: the place has clusters that the pool is for. It holds at least one prefix, and stays above the low-water mark. Else
	// it asks only for what does not fit, and gives everything back that is idle.
	Needed bool
}

// Block is a prefix that the place holds.
type Block struct {
	Prefix netip.Prefix
	// Free is how many of its addresses are.
	Free float64
	// Idle: nothing of it is taken or in quarantine. Closed: nothing more is taken from it.
	Idle, Closed bool
}

// Returned tells whether the block is given back, for good.
func (b Block) Returned() bool { return b.Closed && b.Idle }

// Decision is what a place asks of its parent.
type Decision struct {
	// Want and Length are those of record.Demand.
	Want, Length int
	// Return are blocks to close, and to name as returned once they are closed and still idle.
	Return []netip.Prefix
}

// Decide looks at all blocks of a pool that a place was given, and at the lengths of what did not fit. With keep nothing
// more is given back: the place does not know yet what it needs.
func Decide(t Terms, blocks []Block, unmet []int, keep bool) Decision {
	var held, open int
	var all, free float64 // of the open blocks
	for _, b := range blocks {
		if !b.Returned() {
			held++
		}
		if !b.Closed {
			open++
			all += size(b.Prefix)
			free += b.Free
		}
	}
	more, length := ask(t, blocks, unmet, all, free, open)
	if more > 0 || len(unmet) > 0 || keep {
		return Decision{Want: held + more, Length: length}
	}
	back := giveBack(t, blocks, all, free, open)
	return Decision{Want: held - len(back), Return: back}
}

// ask is how many prefixes more are wanted, and the length of the first where that is not the usual one.
func ask(t Terms, blocks []Block, unmet []int, all, free float64, open int) (more, length int) {
	if t.Length == 0 {
		return 0, 0
	}
	bits := addressBits(blocks, t.Length)
	unit := math.Ldexp(1, bits-t.Length)
	small, large := 0.0, 0.0
	for _, l := range unmet {
		if l >= t.Length {
			small += math.Ldexp(1, bits-l)
		} else if length == 0 || l < length { // one after the other, the largest first
			length, large = l, math.Ldexp(1, bits-l)
		}
	}
	count := math.Ceil(small / unit)
	if t.Needed {
		// With n prefixes more, free-small+n*unit is at least LowWater % of all+large+n*unit.
		low := float64(min(t.LowWater, 99)) / 100
		count = max(count, math.Ceil((low*(all+large)-(free-small))/(unit*(1-low))))
	}
	more = int(min(count, Most))
	if length > 0 {
		more++
	}
	if t.Needed && open == 0 {
		more = max(more, 1)
	}
	return more, length
}

// giveBack picks idle blocks for as long as what is left stays above the high-water mark: first those of an unusual length,
// then from the highest address down.
func giveBack(t Terms, blocks []Block, all, free float64, open int) (back []netip.Prefix) {
	idle := slices.DeleteFunc(slices.Clone(blocks), func(b Block) bool { return b.Closed || !b.Idle })
	slices.SortFunc(idle, func(a, b Block) int {
		usual := func(b Block) int {
			if b.Prefix.Bits() == t.Length {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(usual(a), usual(b)), b.Prefix.Compare(a.Prefix))
	})
	for _, b := range idle {
		left, rest := all-size(b.Prefix), free-b.Free
		if t.Needed && (open == 1 || rest*100 < float64(t.HighWater)*left) {
			continue
		}
		back = append(back, b.Prefix)
		all, free, open = left, rest, open-1
	}
	return back
}

// size is how many addresses a prefix has.
func size(p netip.Prefix) float64 { return math.Ldexp(1, p.Addr().BitLen()-p.Bits()) }

// addressBits is the length of an address of the family. Only ratios of sizes count, so that with no block to tell it by, any
// that is long enough will do.
func addressBits(blocks []Block, length int) int {
	if len(blocks) > 0 {
		return blocks[0].Prefix.Addr().BitLen()
	}
	return max(length, 128)
}
