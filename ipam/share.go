package ipam

import "math"

// spares tells whether a child may get a prefix of a length more: if it has some of the pool, or asks for more than the usual one,
// enough must be left for each of the others that has clusters and none of the pool yet, whether it has asked or not. So the first
// to ask do not have all of a small pool, and it is of no use to ask for much.
func (t *Tier) spares(c *child, p *pool, length int) bool {
	usual := t.childLength(p)
	if usual == 0 || c.live(p.name) == 0 && length >= usual {
		return true
	}
	others := t.bare(c, p)
	if others == 0 {
		return true
	}
	var free float64
	for _, b := range t.cfg.Ledger.Usage(p.name).Blocks { // p.usage is of before the round
		if !b.Closed {
			free += b.Addresses - b.Taken
		}
	}
	size := func(length int) float64 { return math.Ldexp(1, p.bits()-length) }
	return free >= size(length)+float64(others)*size(usual)
}

// bare counts the places below, but one, that have clusters which a pool is for and nothing of it.
func (t *Tier) bare(but *child, p *pool) (n int) {
	for name, networks := range t.below {
		if name == but.name || !p.isFor(networks) {
			continue
		}
		if c := t.children[name]; c == nil || c.live(p.name) == 0 {
			n++
		}
	}
	return n
}

// live is how many prefixes of a pool a child has that it has not returned.
func (c *child) live(pool string) (n int) {
	for _, g := range c.given[pool] {
		if !g.leaving {
			n++
		}
	}
	return n
}
