package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// ErrNotReclaimed: the place is none whose prefixes may be taken back; the text says why.
var ErrNotReclaimed = errors.New("not reclaimed")

// Reclaim takes back all that a child, REGION at Global or REGION/ZONE at its region, was given, and returns it. It is for a
// place that is gone for good, and refused while that is connected or has clusters in the inventory, unless forced.
//
// What is taken back is in quarantine first. A child that comes back all the same finds its prefix records gone: it closes the
// blocks, drops those that are empty, and reports the others as stranded; what is taken there may by then be somebody else's.
func (t *Tier) Reclaim(ctx context.Context, child string, force bool) (taken []Delegation, err error) {
	err = t.within(ctx, func(ctx context.Context) error {
		taken, err = t.reclaim(ctx, child, force)
		return err
	})
	return taken, err
}

func (t *Tier) reclaim(ctx context.Context, name string, force bool) ([]Delegation, error) {
	if t.childName(strings.Split(name, "/")) == "" {
		return nil, fmt.Errorf("%w: %q is no place right below %s", ErrNotReclaimed, name, t.place())
	}
	if !force {
		if err := t.gone(name); err != nil {
			return nil, err
		}
	}
	c := t.child(name)
	var taken []Delegation
	var writes []store.Write
	region, zone := where(name)
	for _, pool := range slices.Sorted(maps.Keys(c.given)) {
		for _, prefix := range slices.SortedFunc(maps.Keys(c.given[pool]), netip.Prefix.Compare) {
			taken = append(taken, Delegation{Child: name, Pool: pool, Owner: c.given[pool][prefix].owner, Prefix: prefix})
			writes = append(writes, store.Write{Record: record.Record{Key: record.PrefixKey(region, zone, pool, prefix)}, Delete: true,
				Cause: record.CausePerson})
		}
	}
	if len(taken) == 0 {
		return nil, fmt.Errorf("%w: nothing is delegated to %s", ErrNotReclaimed, name)
	}
	if _, err := t.cfg.Writer.Apply(ctx, writes, nil); err != nil {
		return nil, fmt.Errorf("taking away the prefix records of %s: %w", name, err)
	}
	return taken, t.confiscate(ctx, c, taken)
}

// gone refuses a place that is connected or has clusters.
func (t *Tier) gone(name string) error {
	if t.cfg.Connected != nil && t.cfg.Connected(name) {
		return fmt.Errorf("%w: %s is connected", ErrNotReclaimed, name)
	}
	region, zone := where(name)
	for e := range t.cfg.Mirror.Snapshot().All(record.KindCluster) {
		c, err := record.DecodeCluster(e.Record)
		if err == nil && c.Region == region && (zone == "" || c.Zone == zone) {
			return fmt.Errorf("%w: %s is in the inventory: cluster %s is there", ErrNotReclaimed, name, c.Name)
		}
	}
	return nil
}

// confiscate releases what was taken back, and forgets what the child said. What could not be released stays delegated, and gets
// its record again.
func (t *Tier) confiscate(ctx context.Context, c *child, taken []Delegation) error {
	owners := make([]string, len(taken))
	for i, d := range taken {
		owners[i] = d.Owner
	}
	errs := t.releaseAll(ctx, owners)
	for i, d := range taken {
		if errs[i] == nil {
			t.lose(c, d.Pool, d.Prefix)
			t.cfg.Log.Warn("prefix reclaimed", "child", c.name, "pool", d.Pool, "prefix", d.Prefix)
		}
		t.todo.given.add(of{c.name, d.Pool})
	}
	for pool := range c.demands {
		if p := t.pools[pool]; p != nil {
			t.lack(c, p, nil)
		}
	}
	clear(c.demands)
	if t.cfg.Reclaimed != nil {
		t.cfg.Reclaimed(c.name)
	}
	return errors.Join(errs...)
}
