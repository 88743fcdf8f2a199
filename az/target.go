package az

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// target is one cluster of the shard and what it should hold.
type target struct {
	cluster record.Cluster
	units   map[unitID]*unit
	// owner is the unit that writes an object; rivals are others that have it in their output as well, which lasts only
	// while one of them keeps an output that is out of date.
	owner  map[record.Key]unitID
	rivals map[record.Key]map[unitID]struct{}
	// spaces counts, by namespace, the applications that give it each set of traits.
	spaces map[string]map[traits]int
	// blank are units found when the shard took the cluster over and never compiled since: what they have in the
	// cluster is not known, so nothing may be removed there.
	blank map[unitID]struct{}
}

func newTarget(c record.Cluster) *target {
	return &target{cluster: c, units: map[unitID]*unit{}, owner: map[record.Key]unitID{},
		rivals: map[record.Key]map[unitID]struct{}{}, spaces: map[string]map[traits]int{}, blank: map[unitID]struct{}{}}
}

// inhabit moves an application's traits in its namespace; a nil pointer is none.
func (t *target) inhabit(namespace string, before, after *traits) {
	counts := t.spaces[namespace]
	if counts == nil {
		counts = map[traits]int{}
		t.spaces[namespace] = counts
	}
	if after != nil {
		counts[*after]++
	}
	if before != nil {
		if counts[*before]--; counts[*before] == 0 {
			delete(counts, *before)
		}
	}
	if len(counts) == 0 {
		delete(t.spaces, namespace)
	}
}

// space is the input of a namespace's object; ok is false when no application of it is in the cluster. Applications agree
// on all but adopt, except while a change of the Namespace passes through; until then the first in order decides.
func (t *target) space(namespace string) (in mesh.NamespaceInput, ok bool) {
	in = mesh.NamespaceInput{Cluster: t.cluster, Namespace: namespace}
	first := true
	for tr := range t.spaces[namespace] {
		if first || tr.environment+"\x00"+tr.tenant < in.Environment+"\x00"+in.Tenant {
			in.Environment, in.Tenant, first = tr.environment, tr.tenant, false
		}
		in.Adopt = in.Adopt || tr.adopt
	}
	return in, !first
}

// compileNamespace compiles a namespace's unit. A namespace whose labels cannot be is left as it is: its applications say
// so, for their objects are refused.
func (t *target) compileNamespace(id unitID, cause record.Cause, s *shift) {
	in, ok := t.space(id.namespace)
	if !ok {
		if u := t.units[id]; u != nil {
			t.replace(u, nil, cause, s)
			delete(t.units, id)
		}
		return
	}
	if objects, err := mesh.Namespace(in); err == nil {
		t.replace(t.unit(id), objects, cause, s)
	}
}

// unit returns a namespace's or the root unit.
func (t *target) unit(id unitID) *unit {
	u := t.units[id]
	if u == nil {
		u = &unit{id: id}
		t.units[id] = u
	}
	return u
}

// replace gives a unit new objects and adds the difference to the cluster's edits.
func (t *target) replace(u *unit, objects []mesh.Object, cause record.Cause, s *shift) {
	keep := make(map[record.Key]struct{}, len(objects))
	for i := range objects {
		r := &objects[i].Record
		keep[r.Key] = struct{}{}
		if owner, taken := t.owner[r.Key]; taken && owner != u.id {
			add(t.rivals, r.Key, owner)
		}
		remove(t.rivals, r.Key, u.id)
		t.owner[r.Key] = u.id
		s.edits = append(s.edits, feed.Put(r))
	}
	for _, o := range u.objects {
		key := o.Record.Key
		if _, stays := keep[key]; stays {
			continue
		}
		if t.owner[key] != u.id {
			remove(t.rivals, key, u.id)
			continue
		}
		t.yield(key, cause, s)
	}
	u.objects = objects
}

// yield takes an object from its owner: to a rival if there is one, else away.
func (t *target) yield(key record.Key, cause record.Cause, s *shift) {
	for _, id := range slices.SortedFunc(maps.Keys(t.rivals[key]), unitID.compare) {
		for i := range t.units[id].objects {
			if r := &t.units[id].objects[i].Record; r.Key == key {
				remove(t.rivals, key, id)
				t.owner[key] = id
				s.edits = append(s.edits, feed.Put(r))
				return
			}
		}
	}
	delete(t.owner, key)
	s.edits = append(s.edits, feed.Remove(key, cause))
}
