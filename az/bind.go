package az

import (
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// remesh takes in a change of a cluster that is owned. Coming and going is the shard's affair.
func (c *compiler) remesh(change store.Change, r *round) {
	t := c.targets[change.Key.Name]
	if t == nil || change.New == nil {
		return
	}
	cluster, err := record.DecodeCluster(change.New.Record)
	if err != nil {
		return
	}
	before := meshOf(t.cluster)
	t.cluster = cluster
	if before == meshOf(cluster) {
		return
	}
	for id := range t.units {
		r.mark(id, record.CausePerson)
	}
	r.mark(unitID{cluster: cluster.Name}, record.CausePerson)
}

// bind takes in a binding, or its removal.
func (c *compiler) bind(key record.Key, r *record.Record, cause record.Cause, round *round) {
	parts := key.Parts()
	if len(parts) != 3 {
		return
	}
	id := unitID{parts[2], parts[0], parts[1]}
	t := c.targets[id.cluster]
	if t == nil {
		return
	}
	old := t.units[id]
	if r == nil {
		if old != nil {
			c.unlink(old)
			old.binding = record.Binding{}
			round.mark(id, cause)
		}
		return
	}
	b, err := record.DecodeBinding(*r)
	if err != nil {
		return
	}
	if old == nil {
		old = &unit{id: id}
		t.units[id] = old
	} else {
		if old.binding.Revision != b.Revision {
			cause = record.CausePerson // the spec was changed
		}
		c.unlink(old)
	}
	old.binding = b
	c.link(old)
	round.mark(id, cause)
}

func (c *compiler) link(u *unit) {
	u.wants = record.RevisionKey(u.binding.Namespace, u.binding.Application, u.binding.Revision)
	add(c.users, u.wants, u.id)
	for _, d := range u.binding.Dependencies {
		add(c.callers, d, u.id)
	}
}

func (c *compiler) unlink(u *unit) {
	remove(c.users, u.wants, u.id)
	c.loose = append(c.loose, u.wants)
	for _, d := range u.binding.Dependencies {
		remove(c.callers, d, u.id)
	}
}

func add[K comparable](index map[K]map[unitID]struct{}, key K, id unitID) {
	if index[key] == nil {
		index[key] = map[unitID]struct{}{}
	}
	index[key][id] = struct{}{}
}

func remove[K comparable](index map[K]map[unitID]struct{}, key K, id unitID) {
	delete(index[key], id)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}
