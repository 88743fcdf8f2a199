package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// local is how the names of owners begin that are machines of a place below: local/PATH/NAME.
const local = "local/"

// Left tells of a place below, by its path, whether the records of its parent say that it has left the inventory for good: its
// grant is revoked, which Global does to none while it doubts its hub, and no cluster of it stands. Where there is no grant, nothing
// is said: identities may be of an outside authority, or not all may have come that there is.
func Left(mirror *store.Mirror) func(path string) bool {
	return func(path string) bool { return left(mirror.Snapshot(), path) }
}

func left(s *store.Snapshot, path string) bool {
	g, ok := grantOf(s, path)
	return ok && !g.Enrolled && !stands(s, path)
}

// grantOf is what is accepted of a place's certificates, if that is known.
func grantOf(s *store.Snapshot, path string) (record.Grant, bool) {
	e, ok := s.Get(record.GrantKey(path))
	if !ok {
		return record.Grant{}, false
	}
	g, err := record.DecodeGrant(e.Record)
	return g, err == nil
}

// stands tells whether a cluster is in the inventory that is at a path, or below it.
func stands(s *store.Snapshot, path string) bool {
	region, zone := record.GrantKey(path).Place()
	in := func(e *store.Entry) bool {
		c, err := record.DecodeCluster(e.Record)
		return err != nil || c.Region == region && (zone == "" || c.Zone == zone) // one that cannot be read may be
	}
	if parts := strings.Split(path, "/"); len(parts) == 6 {
		e, ok := s.Get(record.ClusterKey(parts[5]))
		return ok && in(e)
	}
	for e := range s.All(record.KindCluster) {
		if in(e) {
			return true
		}
	}
	return false
}

// known tells whether the records say that a place right below is there. A region or a zone may have no cluster: its grant says so.
func (t *Tier) known(s *store.Snapshot, path string) bool {
	g, ok := grantOf(s, path)
	return stands(s, path) || t.cfg.Zone == "" && ok && g.Enrolled
}

// depth is how many parts the path of a place right below has.
func (t *Tier) depth() int {
	switch {
	case t.global():
		return 2
	case t.cfg.Zone == "":
		return 4
	}
	return 6
}

// machinesOf is the path of the place whose machine an owner is, empty where that is none right below. NAME may look like more of a path.
func (t *Tier) machinesOf(owner string) string {
	parts := strings.Split(strings.TrimPrefix(owner, local), "/")
	if len(parts) <= t.depth() {
		return ""
	}
	path := strings.Join(parts[:t.depth()], "/")
	if !t.isBelow(path) {
		return ""
	}
	return path
}

// isBelow tells whether a path is that of a place right below.
func (t *Tier) isBelow(path string) bool {
	region, zone := record.GrantKey(path).Place()
	return region != "" && strings.Count(path, "/")+1 == t.depth() && (t.global() || region == t.cfg.Region) && (t.cfg.Zone == "" || zone == t.cfg.Zone)
}

// doubt has it be looked at whether a place below has left: a change is of its grant, or of a cluster that is in it no more.
func (t *Tier) doubt(c store.Change) (ours bool) {
	var path string
	switch {
	case c.Key.Kind == record.KindGrant:
		path = c.Key.Name
	case t.pathOf(c.Old) != t.pathOf(c.New):
		path = t.pathOf(c.Old)
	}
	if !t.isBelow(path) {
		return false
	}
	t.todo.doubts.add(path)
	return true
}

// pathOf is the path of the place right below that a cluster is, or is in; empty where there is none.
func (t *Tier) pathOf(e *store.Entry) string {
	if e == nil {
		return ""
	}
	c, err := record.DecodeCluster(e.Record)
	if err != nil {
		return ""
	}
	return strings.Join([]string{"region", c.Region, "zone", c.Zone, "cluster", c.Name}[:t.depth()], "/")
}

// leave releases what machines have of places below that have left. Whoever is only not to be found keeps all.
func (t *Tier) leave(ctx context.Context) error {
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(t.todo.doubts)) {
		if left(t.cfg.Mirror.Snapshot(), path) {
			if err := t.evict(ctx, path); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		delete(t.todo.doubts, path)
	}
	return errors.Join(errs...)
}

// evict releases what the machines of a place have, and what they are about to get: that is looked at first, for it is listed when it
// is under way no more.
func (t *Tier) evict(ctx context.Context, path string) error {
	found := set[string]{}
	if t.cfg.Machines != nil {
		for _, owner := range t.cfg.Machines.Underway(t.cfg.Ledger, path) {
			found.add(owner)
		}
	}
	if err := t.each(ctx, local+path+"/", func(e ledger.Entry) { found.add(e.Owner) }); err != nil {
		return fmt.Errorf("reading what machines of %s hold: %w", path, err)
	}
	owners := slices.Sorted(maps.Keys(found))
	if len(owners) == 0 {
		return nil
	}
	if err := errors.Join(releaseEach(ctx, owners, t.releaseLocal)...); err != nil {
		return err
	}
	t.cfg.Log.Info("released what machines had of a place that has left the inventory", "place", path, "count", len(owners))
	return nil
}

// releaseLocal releases what a machine has by way of who counts that.
func (t *Tier) releaseLocal(ctx context.Context, owner string) error {
	if t.cfg.Machines != nil {
		return t.cfg.Machines.TakeBack(ctx, t.cfg.Ledger, owner)
	}
	_, err := t.cfg.Ledger.Release(ctx, owner)
	return err
}
