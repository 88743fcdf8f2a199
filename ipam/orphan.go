package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// orphan is a prefix that a child was told and that no delegation stands behind: a ledger that was set back has forgotten it, and the
// child may use it.
type orphan struct {
	record.Prefix
	refused bool // it could not be adopted: it is somebody else's, or lies in no block
}

// seek notes what is to be adopted.
func (t *Tier) seek() {
	for _, v := range t.unfounded() {
		if t.orphans[v.Pool] == nil {
			t.orphans[v.Pool] = map[netip.Prefix]*orphan{}
		}
		t.orphans[v.Pool][v.Prefix] = &orphan{Prefix: v}
		t.touch(v.Pool)
		t.todo.orphans.add(v.Pool)
	}
}

// unfounded are the prefix records of children that no delegation stands behind.
func (t *Tier) unfounded() (out []record.Prefix) {
	for e := range t.cfg.Mirror.Snapshot().All(record.KindPrefix) {
		v, err := record.DecodePrefix(e.Record)
		if err != nil || t.childName(childOf(v)) == "" {
			continue
		}
		c := t.children[t.childName(childOf(v))]
		if c == nil || c.given[v.Pool][v.Prefix] == nil {
			out = append(out, v)
		}
	}
	return out
}

// childOf is the parts of the name of whom a prefix is for.
func childOf(v record.Prefix) []string {
	if v.Zone == "" {
		return []string{v.Region}
	}
	return []string{v.Region, v.Zone}
}

// adopt takes up orphans, as soon as there are blocks that they lie in and before anything else is given of those. One that is
// refused stays an orphan, to be tried again when its pool has changed. After any other error nothing may be given.
func (t *Tier) adopt(ctx context.Context) error {
	if len(t.todo.orphans) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(t.todo.orphans)) {
		for _, prefix := range slices.SortedFunc(maps.Keys(t.orphans[name]), netip.Prefix.Compare) {
			if err := t.adoptOrphan(ctx, t.orphans[name][prefix]); err != nil {
				return fmt.Errorf("adopting %s of pool %s, which a place below was told: %w", prefix, name, err)
			}
		}
		if len(t.orphans[name]) == 0 {
			delete(t.orphans, name)
		}
		delete(t.todo.orphans, name)
	}
	return t.putBlocks(ctx) // those that were open for this alone are closed
}

// adoptOrphan ends an orphan: it is adopted, or told no more. A refusal is no error.
func (t *Tier) adoptOrphan(ctx context.Context, o *orphan) error {
	v := o.Prefix
	_, told := t.cfg.Mirror.Snapshot().Get(record.PrefixKey(v.Region, v.Zone, v.Pool, v.Prefix))
	if told && t.child(t.childName(childOf(v))).of(v.Pool)[v.Prefix] == nil {
		err := t.adoptOne(ctx, v)
		if refuses(err) {
			if !o.refused {
				o.refused = true
				t.touch(v.Pool)
				t.cfg.Log.Error("a prefix record has no delegation", "region", v.Region, "zone", v.Zone, "pool", v.Pool, "prefix", v.Prefix,
					"error", err)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	delete(t.orphans[v.Pool], v.Prefix)
	t.touch(v.Pool)
	return nil
}

// refuses tells whether the ledger said that a prefix cannot be had: asking again alone does not change that.
func refuses(err error) bool {
	var taken *ledger.Taken
	return errors.As(err, &taken) || errors.Is(err, ledger.ErrFull) || errors.Is(err, ledger.ErrUnknownPool) || errors.Is(err, ledger.ErrInvalid)
}

// adoptOne makes up a delegation from its record, unless the space is somebody's.
func (t *Tier) adoptOne(ctx context.Context, v record.Prefix) error {
	c := t.child(t.childName(childOf(v)))
	e, err := t.cfg.Ledger.Allocate(ctx, ledger.Request{Owner: c.owner(v.Pool), Pool: v.Pool, Prefix: v.Prefix})
	if held := (*ledger.Conflict)(nil); errors.As(err, &held) { // from a request whose end was not heard of
		t.give(c, v.Pool, held.Holds)
	}
	if err != nil {
		return err
	}
	t.give(c, v.Pool, e)
	t.todo.given.add(of{c.name, v.Pool})
	t.cfg.Log.Warn("a delegation was made up from its record", "child", c.name, "pool", v.Pool, "prefix", v.Prefix)
	return nil
}

// awaited tells whether orphans that may be adopted lie in a block: it must be open for that once.
func (t *Tier) awaited(pool string, block netip.Prefix) bool {
	for prefix, o := range t.orphans[pool] {
		if !o.refused && covers(block, prefix) {
			return true
		}
	}
	return false
}
