package ipam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam/delegation"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// mostReturned is how many prefixes of a pool a child may return at once: all that it may have, and as many that are yet to go.
const mostReturned = 2 * delegation.Most

// child is a place right below: REGION at Global, REGION/ZONE at a region.
type child struct {
	name    string
	demands map[string]record.Demand // by pool
	given   map[string]map[netip.Prefix]*given
}

// given is a prefix that was delegated to a child: an entry of the ledger.
type given struct {
	owner string
	// leaving: its record was taken away in this term, for the child returned it.
	leaving bool
}

// child returns the child of a name, made where there is none.
func (t *Tier) child(name string) *child {
	c := t.children[name]
	if c == nil {
		c = &child{name: name, demands: map[string]record.Demand{}, given: map[string]map[netip.Prefix]*given{}}
		t.children[name] = c
	}
	return c
}

// of is what the child was given of a pool.
func (c *child) of(pool string) map[netip.Prefix]*given {
	if c.given[pool] == nil {
		c.given[pool] = map[netip.Prefix]*given{}
	}
	return c.given[pool]
}

// owner names the ledger's owner of a child's delegation: the first that is not in use.
func (c *child) owner(pool string) string {
	used := set[string]{}
	for _, g := range c.given[pool] {
		used.add(g.owner)
	}
	for n := 0; ; n++ {
		if owner := fmt.Sprintf("%s%s/%s/%d", delegated, c.name, pool, n); !used.has(owner) {
			return owner
		}
	}
}

// delegate reads the owner of a delegation.
func (t *Tier) delegate(owner string) (child, pool string, err error) {
	parts := strings.Split(strings.TrimPrefix(owner, delegated), "/")
	n := len(parts) - 2
	if n < 1 || strings.Join(parts[:n], "/") != t.childName(parts[:n]) {
		return "", "", fmt.Errorf("owner %s is no place below %s", owner, t.place())
	}
	return strings.Join(parts[:n], "/"), parts[n], nil
}

// childName is how a child is named whose name has these parts; empty if this place can have no such child.
func (t *Tier) childName(parts []string) string {
	switch {
	case t.global() && len(parts) == 1:
		return parts[0]
	case !t.global() && t.cfg.Zone == "" && len(parts) == 2 && parts[0] == t.cfg.Region:
		return parts[0] + "/" + parts[1]
	}
	return ""
}

// where is a child's region and zone.
func where(child string) (region, zone string) {
	region, zone, _ = strings.Cut(child, "/")
	return region, zone
}

// inherit takes up a delegation of an earlier term.
func (t *Tier) inherit(e ledger.Entry) {
	name, pool, err := t.delegate(e.Owner)
	if err != nil {
		t.cfg.Log.Error("a delegation is passed over", "error", err)
		return
	}
	t.give(t.child(name), pool, e)
	t.todo.given.add(of{name, pool})
}

// give notes that a child was given what an entry says; lose, that it is the child's no more.
func (t *Tier) give(c *child, pool string, e ledger.Entry) {
	c.of(pool)[e.Prefix] = &given{owner: e.Owner}
	t.moved = true
	t.stale.add(pool)
}

func (t *Tier) lose(c *child, pool string, prefix netip.Prefix) {
	delete(c.of(pool), prefix)
	t.moved = true
	t.stale.add(pool)
}

// listen takes in what a child said.
func (t *Tier) listen(key of, w word) error {
	if t.childName(strings.Split(key.child, "/")) == "" {
		return errForeign
	}
	c := t.child(key.child)
	if w.demand == nil {
		t.todo.asks.add(key.pool) // what it had trouble with goes up
		delete(c.demands, key.pool)
		t.todo.given.add(key)
		return nil
	}
	d := *w.demand
	if region, zone := where(key.child); d.Region != region || d.Zone != zone {
		return errForeign
	}
	if before, spoke := c.demands[key.pool]; spoke && d.Epoch == before.Epoch && d.Revision < before.Revision {
		return nil // said before what is known, by a leader that was deposed
	}
	if n := len(d.Returned); n > mostReturned {
		return fmt.Errorf("returned: got %d prefixes, want at most %d", n, mostReturned)
	}
	if n := len(d.Held); n > mostReturned {
		return fmt.Errorf("held: got %d prefixes, want at most %d", n, mostReturned)
	}
	if !slices.Equal(c.demands[key.pool].Problems, d.Problems) {
		t.todo.asks.add(key.pool)
	}
	c.demands[key.pool] = d
	t.todo.given.add(key)
	if p, ok := c.foreign(d); ok {
		return fmt.Errorf("returned: %s is none that it was given; it gets nothing more before it returns only such", p)
	}
	return nil
}

// foreign is the first prefix that a child returns and was not given. An honest child returns one where this place was set back and
// has forgotten it, and has it no more as soon as it sees that there is no record of it.
func (c *child) foreign(d record.Demand) (netip.Prefix, bool) {
	i := slices.IndexFunc(d.Returned, func(p netip.Prefix) bool { return c.given[d.Pool][p] == nil })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return d.Returned[i], true
}

// serve answers the children's demands, of each pool first those of whom has least of it, and brings their prefix records to what was given.
func (t *Tier) serve(ctx context.Context) error {
	var errs []error
	keys := slices.SortedFunc(maps.Keys(t.todo.given), func(a, b of) int {
		return cmp.Or(strings.Compare(a.pool, b.pool), cmp.Compare(t.child(a.child).live(a.pool), t.child(b.child).live(b.pool)),
			strings.Compare(a.child, b.child))
	})
	var writes []store.Write
	var withdrawn []*given
	for _, key := range keys {
		w, left, err := t.answer(ctx, key)
		writes, withdrawn = append(writes, w...), append(withdrawn, left...)
		if err != nil {
			errs = append(errs, fmt.Errorf("answering %s on pool %s: %w", key.child, key.pool, err))
			continue
		}
		delete(t.todo.given, key)
	}
	if len(writes) == 0 {
		return errors.Join(errs...)
	}
	if _, err := t.cfg.Writer.Apply(ctx, writes, nil); err != nil {
		for _, key := range keys {
			t.todo.given.add(key)
		}
		return errors.Join(append(errs, fmt.Errorf("writing prefixes: %w", err))...)
	}
	for _, g := range withdrawn {
		g.leaving, t.moved = true, true
	}
	return errors.Join(errs...)
}

// answer does what a child's demand asks for, and returns what the child's records should be, and what leaves it with them.
func (t *Tier) answer(ctx context.Context, key of) (writes []store.Write, withdrawn []*given, err error) {
	c, p := t.child(key.child), t.pools[key.pool]
	if p == nil {
		return nil, nil, nil // a pool that the place does not know has nothing to give
	}
	d, spoke := c.demands[p.name]
	response := delegation.Respond(d, t.childLength(p), c.list(p.name))
	if _, ok := c.foreign(d); ok || !spoke {
		response.Grant = nil // what it returned might be given to it again, before it has dropped it
	}
	if err := t.takeBack(ctx, c, p, response.Release); err != nil {
		return nil, nil, err
	}
	region, zone := where(c.name)
	for _, prefix := range response.Withdraw {
		withdrawn = append(withdrawn, c.of(p.name)[prefix])
		writes = append(writes, store.Write{Record: record.Record{Key: record.PrefixKey(region, zone, p.name, prefix)}, Delete: true,
			Cause: record.CausePerson})
	}
	err = t.grant(ctx, c, p, response.Grant)
	for prefix, g := range c.of(p.name) {
		if !g.leaving && !slices.Contains(response.Withdraw, prefix) {
			v := record.Prefix{Pool: p.name, Region: region, Zone: zone, Prefix: prefix, Draining: p.closed(prefix)}
			v.Epoch = t.holder(v, d)
			writes = append(writes, store.Write{Record: v.Record()})
		}
	}
	return writes, withdrawn, err
}

// holder is the epoch of the child's ledger that holds a prefix: as it says, or where it says nothing of it, as it said before. Its
// record keeps that. That its ledger is of another epoch now is not enough: it may be one that knows nothing of the prefix.
func (t *Tier) holder(v record.Prefix, d record.Demand) uint64 {
	if slices.Contains(d.Held, v.Prefix) {
		return d.Epoch
	}
	e, written := t.cfg.Mirror.Snapshot().Get(v.Record().Key)
	if !written {
		return 0
	}
	before, err := record.DecodePrefix(e.Record)
	if err != nil {
		return 0
	}
	return before.Epoch
}

// list is what a child was given of a pool, in the order of addresses.
func (c *child) list(pool string) []delegation.Given {
	var out []delegation.Given
	for _, prefix := range slices.SortedFunc(maps.Keys(c.given[pool]), netip.Prefix.Compare) {
		out = append(out, delegation.Given{Prefix: prefix, Leaving: c.given[pool][prefix].leaving})
	}
	return out
}

// takeBack releases what a child has dropped.
func (t *Tier) takeBack(ctx context.Context, c *child, p *pool, prefixes []netip.Prefix) error {
	var owners []string
	for _, prefix := range prefixes {
		owners = append(owners, c.of(p.name)[prefix].owner)
	}
	errs := t.releaseAll(ctx, owners)
	for i, prefix := range prefixes {
		if errs[i] == nil {
			t.lose(c, p.name, prefix)
			t.cfg.Log.Info("prefix taken back", "child", c.name, "pool", p.name, "prefix", prefix)
		}
	}
	return errors.Join(errs...)
}

// grant gives a child prefixes. Those for which there is no room are noted, and tried again when there may be.
func (t *Tier) grant(ctx context.Context, c *child, p *pool, lengths []int) error {
	var short []int
	for i, length := range lengths {
		if n := len(short); n > 0 && short[n-1] == length {
			short = append(short, length) // as the one before
			continue
		}
		e, err := t.delegateOne(ctx, c, p, length)
		switch {
		case errors.Is(err, ledger.ErrFull) || errors.Is(err, ledger.ErrUnknownPool) || errors.Is(err, ledger.ErrInvalid):
			short = append(short, length)
			continue
		case err != nil:
			t.lack(c, p, append(short, lengths[i:]...))
			return fmt.Errorf("delegating a /%d: %w", length, err)
		}
		t.give(c, p.name, e)
		t.cfg.Log.Info("prefix delegated", "child", c.name, "pool", p.name, "prefix", e.Prefix)
	}
	t.lack(c, p, short)
	return nil
}

// delegateOne takes one prefix for a child. What an earlier request of the same owner got, whose end was not heard of, will do.
func (t *Tier) delegateOne(ctx context.Context, c *child, p *pool, length int) (ledger.Entry, error) {
	if !p.room(length) || !t.spares(c, p, length) {
		return ledger.Entry{}, ledger.ErrFull
	}
	e, err := t.cfg.Ledger.Allocate(ctx, ledger.Request{Owner: c.owner(p.name), Pool: p.name, Length: length})
	if held := (*ledger.Conflict)(nil); errors.As(err, &held) {
		return held.Holds, nil
	}
	return e, err
}

// lack notes what a child lacks of a pool.
func (t *Tier) lack(c *child, p *pool, lengths []int) {
	if slices.Equal(p.short[c.name], lengths) {
		return
	}
	if p.short[c.name] = lengths; len(lengths) == 0 {
		delete(p.short, c.name)
	}
	t.todo.asks.add(p.name)
}
