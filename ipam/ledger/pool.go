package ledger

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/ipam/space"
)

// pool is a pool's blocks in memory.
type pool struct {
	name string
	ipv6 bool
	// blocks are disjoint, in the order of addresses.
	blocks []*block
	// freed counts how often there may have become more room.
	freed uint64
}

// block is a block in memory. Its space is what is free of it: reserved, taken, and in quarantine are taken.
type block struct {
	Block      // Reserved are disjoint and sorted
	quarantine time.Duration
	key        string
	rev        int64 // modification revision of the key: the fence
	space      *space.Space
	reserved   float64 // addresses
	taken      int     // prefixes that are taken, in quarantine or about to be taken
	resting    float64 // addresses in quarantine
}

func newBlock(key string, b Block, quarantine time.Duration) (*block, error) {
	reserved := b.Reserved
	b.Reserved = nil
	out := &block{Block: b, quarantine: quarantine, key: key, space: space.New(b.Prefix.Addr().Is6())}
	if err := out.space.Add(b.Prefix); err != nil {
		return nil, err
	}
	return out, out.reserve(reserved)
}

// size is how many addresses a prefix has.
func size(p netip.Prefix) float64 { return math.Ldexp(1, p.Addr().BitLen()-p.Bits()) }

// reserve makes these the reserved ones, or changes nothing and returns what is in the way as a *space.Taken.
func (b *block) reserve(reserved []netip.Prefix) error {
	old := b.Reserved
	for _, p := range old {
		b.free(p)
	}
	for i, p := range reserved {
		if err := b.space.TakeAt(p); err != nil {
			for _, p := range reserved[:i] {
				b.free(p)
			}
			for _, p := range old {
				b.occupy(p)
			}
			return err
		}
	}
	b.Reserved, b.reserved = reserved, 0
	for _, p := range reserved {
		b.reserved += size(p)
	}
	return nil
}

// free gives back what is known to be taken as such.
func (b *block) free(p netip.Prefix) {
	if err := b.space.Release(p); err != nil {
		panic(fmt.Sprintf("block %s: %v", b.Prefix, err))
	}
}

// occupy takes what is known to be free.
func (b *block) occupy(p netip.Prefix) {
	if err := b.space.TakeAt(p); err != nil {
		panic(fmt.Sprintf("block %s: %v", b.Prefix, err))
	}
}

// usage is how the block stands.
func (b *block) usage() BlockUsage {
	all, taken := b.space.Addresses()
	return BlockUsage{
		Block:       Block{b.Pool, b.Prefix, b.Closed, slices.Clone(b.Reserved)},
		Addresses:   all - b.reserved,
		Taken:       taken - b.reserved,
		Quarantined: b.resting,
		Largest:     b.largest(),
		Idle:        b.taken == 0,
	}
}

// largest is the length of the largest prefix that can be taken, or -1.
func (b *block) largest() int {
	if n, ok := b.space.Largest(); ok && !b.Closed {
		return n
	}
	return -1
}

// knows tells whether memory has a prefix as taken, as such.
func (b *block) knows(p netip.Prefix) bool {
	by, err := b.space.Holder(p)
	return err == nil && by == p
}

// reserves tells whether a prefix that is taken was reserved.
func (b *block) reserves(p netip.Prefix) bool {
	_, found := slices.BinarySearchFunc(b.Reserved, p, netip.Prefix.Compare)
	return found
}

// pool is the one of a name, made where there is none yet for a prefix of it. It is called with mu held.
func (l *Ledger) pool(name string, of netip.Prefix) *pool {
	p := l.pools[name]
	if p == nil {
		p = &pool{name: name, ipv6: of.Addr().Is6()}
		l.pools[name] = p
	}
	return p
}

// at is the block that a prefix lies in, or nil.
func (p *pool) at(prefix netip.Prefix) *block {
	i, found := slices.BinarySearchFunc(p.blocks, prefix.Addr(), func(b *block, a netip.Addr) int { return b.Prefix.Addr().Compare(a) })
	if !found {
		i--
	}
	if i < 0 || p.blocks[i].Prefix.Bits() > prefix.Bits() || !p.blocks[i].Prefix.Contains(prefix.Addr()) {
		return nil
	}
	return p.blocks[i]
}

// add adds a block, which overlaps none.
func (p *pool) add(b *block) {
	i, _ := slices.BinarySearchFunc(p.blocks, b, func(b, o *block) int { return b.Prefix.Addr().Compare(o.Prefix.Addr()) })
	p.blocks = slices.Insert(p.blocks, i, b)
}

// take takes the prefix of a length that leaves the largest others whole, of all open blocks.
func (p *pool) take(length int) (*block, netip.Prefix, error) {
	var best *block
	roomiest, largest := -1, -1 // -1 for no open block
	for _, b := range p.blocks {
		n := b.largest()
		if n >= 0 && n <= length && n > roomiest {
			best, roomiest = b, n
		}
		if !b.Closed && (largest < 0 || b.Prefix.Bits() < largest) {
			largest = b.Prefix.Bits()
		}
	}
	if best == nil {
		return nil, netip.Prefix{}, &Full{Pool: p.name, Length: length, Largest: p.largest(), TooLarge: length < largest}
	}
	prefix, err := best.space.Take(length)
	if err != nil {
		return nil, netip.Prefix{}, err
	}
	best.taken++
	return best, prefix, nil
}

// largest is the length of the largest prefix that can be taken, or -1.
func (p *pool) largest() int {
	out := -1
	for _, b := range p.blocks {
		if n := b.largest(); n >= 0 && (out < 0 || n < out) {
			out = n
		}
	}
	return out
}

// takeAt takes a certain prefix. Where it is not free the error is a *Taken that does not say who has it.
func (p *pool) takeAt(prefix netip.Prefix) (*block, error) {
	b := p.at(prefix)
	switch {
	case b == nil:
		return nil, fmt.Errorf("%w: prefix %s lies in no block of pool %s; want one in %v", ErrInvalid, prefix, p.name, p.ranges())
	case b.Closed:
		return nil, &Closed{Pool: p.name, Asked: prefix, Block: b.Prefix}
	}
	var taken *space.Taken
	if err := b.space.TakeAt(prefix); errors.As(err, &taken) {
		return nil, &Taken{Pool: p.name, Asked: prefix, By: taken.By}
	} else if err != nil {
		return nil, err
	}
	b.taken++
	return b, nil
}

// ranges are the first few blocks.
func (p *pool) ranges() (out []netip.Prefix) {
	for _, b := range p.blocks[:min(len(p.blocks), 8)] {
		out = append(out, b.Prefix)
	}
	return out
}

// giveBack frees a prefix that was taken with take or takeAt.
func (p *pool) giveBack(prefix netip.Prefix) {
	if b := p.at(prefix); b != nil {
		b.free(prefix)
		b.taken--
		p.freed++
	}
}
