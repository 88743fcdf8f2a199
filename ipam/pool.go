package ipam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// pool is one pool as it stands here.
type pool struct {
	name string
	// spec is the pool's record, while known.
	spec     record.Pool
	known    bool
	revision int64 // of the store, in which it was written
	// prefixes are what the place was given of it; none at Global.
	prefixes map[netip.Prefix]record.Prefix
	// kept is the pool as the ledger's blocks have it.
	kept ledger.Pool
	// usage is the ledger's, as of the last refresh.
	usage ledger.Usage
	// stranded are blocks that the place holds and should not.
	stranded map[netip.Prefix]stranding
	// lost are prefixes that it was given and that a ledger which is lost held: nothing is given of them.
	lost []netip.Prefix
	// problems are what of the pool's record cannot be done, and why.
	problems []string
	// waiting are the claims that it had no room for, by owner.
	waiting map[string]*claim
	// short are the lengths of the prefixes that children want and that there was no room for, by child.
	short map[string][]int
	// told is what the parent was told last; nil for nothing.
	told *record.Demand
	rate rate
}

// stranding is what keeps a block from being dropped: so many addresses were taken when the ledger named their owners.
type stranding struct {
	used  *ledger.InUse
	taken float64
}

// pool returns the pool of a name, made where there is none.
func (t *Tier) pool(name string) *pool {
	p := t.pools[name]
	if p == nil {
		p = &pool{name: name, prefixes: map[netip.Prefix]record.Prefix{}, stranded: map[netip.Prefix]stranding{},
			waiting: map[string]*claim{}, short: map[string][]int{}}
		t.pools[name] = p
		t.todo.looks.add(name)
	}
	return p
}

// ipv6 is the pool's family.
func (p *pool) ipv6() bool {
	if len(p.spec.Ranges) > 0 {
		return p.spec.Ranges[0].Prefix.Addr().Is6()
	}
	return p.kept.IPv6
}

// bits is the length of an address.
func (p *pool) bits() int {
	if p.ipv6() {
		return 128
	}
	return 32
}

// refresh looks at the pools that changed in the ledger, and at those that are new.
func (t *Tier) refresh() {
	for name := range t.cfg.Ledger.Moved() {
		t.todo.looks.add(name)
	}
	for name := range t.todo.looks {
		if p := t.pools[name]; p != nil {
			t.look(p)
		}
	}
	clear(t.todo.looks)
}

// look takes in how a pool stands in the ledger, and has tried again what there may be room for now.
func (t *Tier) look(p *pool) {
	before := p.usage
	p.usage = t.cfg.Ledger.Usage(p.name)
	if reflect.DeepEqual(before, p.usage) {
		return
	}
	_, taken, _ := sums(p.usage)
	p.rate.observe(t.cfg.Now(), taken)
	t.todo.asks.add(p.name)
	if len(t.orphans[p.name]) > 0 {
		t.todo.orphans.add(p.name)
	}
	if len(p.problems) > 0 {
		t.todo.blocks.add(p.name) // something may have been released, even where as much was taken since
	}
	for _, b := range p.usage.Blocks {
		if s, ok := p.stranded[b.Prefix]; ok && (b.Idle || b.Taken != s.taken) {
			t.todo.blocks.add(p.name)
		}
	}
	for owner, c := range p.waiting {
		if c.Prefix.IsValid() || p.room(c.length(p)) {
			t.todo.claims.add(owner)
		}
	}
	for child, lengths := range p.short {
		if p.room(slices.Max(lengths)) {
			t.todo.given.add(of{child, p.name})
		}
	}
}

// room tells whether there may be a free prefix of a length, by memory.
func (p *pool) room(length int) bool {
	return slices.ContainsFunc(p.usage.Blocks, func(b ledger.BlockUsage) bool { return b.Largest >= 0 && b.Largest <= length })
}

// sums adds the blocks up.
func sums(u ledger.Usage) (all, taken, quarantined float64) {
	for _, b := range u.Blocks {
		all += b.Addresses
		taken += b.Taken
		quarantined += b.Quarantined
	}
	return all, taken, quarantined
}

// held is the block of a prefix.
func (p *pool) held(prefix netip.Prefix) (ledger.BlockUsage, bool) {
	i := slices.IndexFunc(p.usage.Blocks, func(b ledger.BlockUsage) bool { return b.Prefix == prefix })
	if i < 0 {
		return ledger.BlockUsage{}, false
	}
	return p.usage.Blocks[i], true
}

// closed tells whether the block that a prefix lies in is, or that there is none.
func (p *pool) closed(prefix netip.Prefix) bool {
	i := slices.IndexFunc(p.usage.Blocks, func(b ledger.BlockUsage) bool { return covers(b.Prefix, prefix) })
	return i < 0 || p.usage.Blocks[i].Closed
}

// covers tells whether one prefix lies in another.
func covers(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Overlaps(inner)
}

// putBlocks brings the ledger's blocks of what was touched to what they should be.
func (t *Tier) putBlocks(ctx context.Context) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(t.todo.blocks)) {
		if err := t.bring(ctx, t.pool(name)); err != nil {
			if fatal(ctx, err) {
				return err
			}
			errs = append(errs, fmt.Errorf("bringing pool %s to its record: %w", name, err))
			continue
		}
		delete(t.todo.blocks, name)
	}
	return errors.Join(errs...)
}

// bring drops the blocks of a pool that the place should not have, and puts those that it should.
func (t *Tier) bring(ctx context.Context, p *pool) error {
	if len(t.orphans[p.name]) > 0 {
		t.todo.orphans.add(p.name)
	}
	t.stale.add(p.name)
	wanted, sure := t.wanted(p)
	t.withhold(p, wanted)
	for _, b := range p.usage.Blocks {
		if _, ok := wanted[b.Prefix]; ok {
			delete(p.stranded, b.Prefix)
		} else if err := t.dropBlock(ctx, p, b); err != nil {
			return err
		}
	}
	if !sure {
		return nil
	}
	before := p.problems
	p.problems = nil
	for _, prefix := range slices.SortedFunc(maps.Keys(wanted), netip.Prefix.Compare) {
		b := wanted[prefix]
		if _, has := p.held(prefix); !has && t.awaited(p.name, prefix) {
			b.Closed = false
		}
		if err := t.putBlock(ctx, p, b); err != nil {
			p.problems = before // as far as is known
			return err
		}
	}
	if p.known {
		p.kept = p.settings()
	}
	if !slices.Equal(before, p.problems) {
		t.todo.asks.add(p.name)
	}
	t.look(p)
	for _, child := range t.children {
		t.todo.given.add(of{child.name, p.name})
	}
	return nil
}

// settings are what the pool's blocks are put with.
func (p *pool) settings() ledger.Pool {
	if !p.known {
		return p.kept
	}
	return ledger.Pool{Name: p.name, IPv6: p.ipv6(), Quarantine: p.spec.Quarantine}
}

// wanted are the blocks that a place should have of a pool. They are not sure while the pool's record is not here: then there
// are those that it has.
func (t *Tier) wanted(p *pool) (blocks map[netip.Prefix]ledger.Block, sure bool) {
	blocks = map[netip.Prefix]ledger.Block{}
	if t.global() {
		for _, r := range p.spec.Ranges {
			for _, part := range p.parts(r.Prefix) {
				blocks[part] = ledger.Block{Pool: p.name, Prefix: part, Closed: r.Draining, Reserved: p.reserved(part)}
			}
		}
		return blocks, true
	}
	for prefix, r := range p.prefixes {
		held, has := p.held(prefix)
		closed := r.Draining || has && held.Closed && held.Idle // what was returned stays so
		if p.known {
			blocks[prefix] = ledger.Block{Pool: p.name, Prefix: prefix, Closed: closed, Reserved: p.reserved(prefix)}
		} else if has {
			held.Closed = closed
			blocks[prefix] = held.Block
		}
	}
	return blocks, p.known || len(blocks) > 0
}

// parts cuts a range into the blocks that there are in it already, and the largest ones that make up the rest: so a range may
// be widened.
func (p *pool) parts(r netip.Prefix) []netip.Prefix {
	inside := func(b ledger.BlockUsage) bool { return covers(r, b.Prefix) }
	i := slices.IndexFunc(p.usage.Blocks, inside)
	if i < 0 || p.usage.Blocks[i].Prefix == r {
		return []netip.Prefix{r}
	}
	low := netip.PrefixFrom(r.Addr(), r.Bits()+1)
	return append(p.parts(low), p.parts(upper(low))...)
}

// upper is the other half of what a prefix is the lower half of.
func upper(low netip.Prefix) netip.Prefix {
	b := low.Addr().AsSlice()
	n := low.Bits() - 1
	b[n/8] |= 1 << (7 - n%8)
	addr, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(addr, low.Bits())
}

// reserved are the parts of a block that are given to nobody, in their order.
func (p *pool) reserved(block netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range p.spec.Reserved {
		switch {
		case covers(r, block):
			return []netip.Prefix{block}
		case covers(block, r):
			out = append(out, r)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	var last netip.Prefix
	return slices.DeleteFunc(out, func(r netip.Prefix) bool { // one that lies in another goes without saying
		if last.IsValid() && covers(last, r) {
			return true
		}
		last = r
		return false
	})
}

// putBlock puts a block if it differs. What the ledger refuses is a problem of the pool.
func (t *Tier) putBlock(ctx context.Context, p *pool, b ledger.Block) error {
	held, has := p.held(b.Prefix)
	reserved := slices.SortedFunc(slices.Values(held.Reserved), netip.Prefix.Compare)
	if has && held.Closed == b.Closed && slices.Equal(reserved, b.Reserved) && p.kept == p.settings() {
		return nil
	}
	err := t.cfg.Ledger.PutBlock(ctx, p.settings(), b)
	var used *ledger.InUse
	switch {
	case err == nil:
		t.cfg.Log.Info("block put", "pool", p.name, "block", b.Prefix, "closed", b.Closed)
		return nil
	case errors.As(err, &used) && has:
		p.problems = append(p.problems, fmt.Sprintf("reserved: %v", used))
		b.Reserved = held.Reserved
		return t.cfg.Ledger.PutBlock(ctx, p.settings(), b)
	case errors.Is(err, ledger.ErrInvalid):
		p.problems = append(p.problems, fmt.Sprintf("%s: %v", b.Prefix, err))
		t.cfg.Log.Error("a block cannot be held", "pool", p.name, "block", b.Prefix, "error", err)
		return nil
	}
	return err
}

// dropBlock drops a block that the place should not have. While something of it is taken it is closed and kept: it is stranded.
func (t *Tier) dropBlock(ctx context.Context, p *pool, b ledger.BlockUsage) error {
	before, known := p.stranded[b.Prefix]
	if known && b.Closed && !b.Idle && b.Taken == before.taken {
		return nil
	}
	err := t.cfg.Ledger.DropBlock(ctx, p.name, b.Prefix)
	var used *ledger.InUse
	switch {
	case err == nil || errors.Is(err, ledger.ErrNotFound):
		delete(p.stranded, b.Prefix)
		t.cfg.Log.Info("block dropped", "pool", p.name, "block", b.Prefix)
		return nil
	case !errors.As(err, &used):
		return err
	}
	p.stranded[b.Prefix] = stranding{used, b.Taken}
	if !known {
		t.cfg.Log.Error("a block that is not this place's any more is in use", "pool", p.name, "block", b.Prefix, "owners", used.Owners)
	}
	if b.Closed {
		return nil
	}
	closed := b.Block
	closed.Closed = true
	kept := p.kept
	kept.Name, kept.IPv6 = p.name, b.Prefix.Addr().Is6()
	return t.cfg.Ledger.PutBlock(ctx, kept, closed)
}

// some are the first few of many, for logs.
func some(owners set[string]) []string {
	all := slices.SortedFunc(maps.Keys(owners), cmp.Compare)
	return all[:min(len(all), 10)]
}
