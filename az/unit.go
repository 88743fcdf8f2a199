package az

import (
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// unitID names a unit of compilation: cluster × application, or with no application cluster × namespace, or with neither
// the cluster's root.
type unitID struct {
	cluster, namespace, application string
}

// app is NAMESPACE/APPLICATION.
func (u unitID) app() string { return record.ServiceName(u.namespace, u.application) }

// unit is one unit's last good output. Every object has one unit that writes it.
type unit struct {
	id      unitID
	objects []mesh.Object
	// The rest is of applications alone.
	binding record.Binding
	// made is what objects come from; nil until the first compilation succeeds.
	made *compiled
	// traits are what the application's namespace gets from it.
	traits traits
	// wants is the revision that the binding names.
	wants record.Key
	// problem is why the binding's revision is not what objects come from.
	problem *record.Problem
}

// traits are what a namespace's object is made of.
type traits struct {
	environment, tenant string
	adopt               bool
}

// current tells whether the objects are those of the binding in force.
func (u *unit) current() bool { return u.made != nil && u.problem == nil }

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
