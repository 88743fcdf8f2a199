package compile

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// target is one cluster whose bindings are followed: one that the shard owns, with what it should hold, or one that shares
// an istiod with such a cluster.
type target struct {
	cluster record.Cluster
	// shape is the version of all of the cluster that objects depend on.
	shape record.Version
	// istiod is the cluster whose istiod configures this one.
	istiod string
	// mine: the shard owns it. Of others nothing below is kept but exported.
	mine bool
	// outside is who may call from under another istiod.
	outside outside
	units   map[unitKey]*unit
	// held are the objects, each with the unit that writes it; rivals are other units that have it in their output as well,
	// which lasts only while one of them keeps an output that is out of date.
	held   map[record.Key]holding
	rivals map[record.Key]map[*unit]struct{}
	// spaces counts, by namespace, the units that give it each set of traits.
	spaces map[string]map[traits]int
	// blank are units found when the shard took the cluster over and never compiled since: what they have in the cluster is
	// not known, so nothing may be removed there.
	blank map[unitKey]struct{}
	// exported are, of an istiod, the applications of its group that are called from other networks, by the part of its
	// gateway's hosts.
	exported map[string]map[string]struct{}
	// refused is what the cluster refused of what istiod is told, by subject; refusedOf is the same by object.
	refused   map[subject]map[record.Key]record.Problem
	refusedOf map[record.Key]subject
	// unheard are, of a primary, configs that are new, each with its AuthorizationPolicy, of which it has not been heard that
	// the cluster has them; leaving are, of a member, workloads that are to go, by config, of which it has not been heard that
	// they are gone.
	unheard map[unitKey]record.Key
	leaving map[unitKey]departure
	// touched are the objects that a round has changed, as they were before it.
	touched map[record.Key]touch
}

// holding is an object and the unit that writes it.
type holding struct {
	by *unit
	is *record.Record
}

// touch is an object before a round, nil where there was none, and why it went, if it did.
type touch struct {
	was   *record.Record
	cause record.Cause
}

func newTarget(c record.Cluster, istiod string) *target {
	t := &target{cluster: c, shape: shapeOf(c), istiod: istiod, exported: map[string]map[string]struct{}{}}
	t.clear()
	return t
}

// clear forgets what the cluster should hold.
func (t *target) clear() {
	t.units, t.held = map[unitKey]*unit{}, map[record.Key]holding{}
	t.rivals, t.spaces = map[record.Key]map[*unit]struct{}{}, map[string]map[traits]int{}
	t.refused, t.refusedOf = map[subject]map[record.Key]record.Problem{}, map[record.Key]subject{}
	t.unheard, t.leaving = map[unitKey]record.Key{}, map[unitKey]departure{}
	t.blank, t.touched = map[unitKey]struct{}{}, map[record.Key]touch{}
}

// reserve makes room for the objects of some units: about two each. There are none yet.
func (t *target) reserve(units int) {
	t.held, t.touched = make(map[record.Key]holding, 2*units), make(map[record.Key]touch, 2*units)
}

// governs tells whether the cluster's own istiod configures it, so that Istio's objects go there.
func (t *target) governs() bool { return t.istiod == t.cluster.Name }

// unit returns a unit, made when it is first wanted.
func (t *target) unit(key unitKey) *unit {
	u := t.units[key]
	if u == nil {
		u = &unit{key: key}
		t.units[key] = u
	}
	return u
}

// has tells whether a unit was compiled.
func (t *target) has(key unitKey) bool {
	u := t.units[key]
	return u != nil && u.made
}

// drop takes a unit away with all its objects.
func (t *target) drop(key unitKey, cause record.Cause) {
	delete(t.blank, key)
	u := t.units[key]
	if u == nil {
		return
	}
	t.replace(u, nil, cause)
	delete(t.units, key)
}

// accept gives a unit the output of a successful compilation.
func (t *target) accept(u *unit, objects []mesh.Object, cause record.Cause) {
	u.made, u.problem = true, nil
	delete(t.blank, u.key)
	t.replace(u, objects, cause)
}

// replace gives a unit new objects.
func (t *target) replace(u *unit, objects []mesh.Object, cause record.Cause) {
	before := u.objects
	u.objects = objects
	for i := range objects {
		r := &objects[i].Record
		at, taken := t.held[r.Key]
		if taken && at.by != u {
			add(t.rivals, r.Key, at.by)
		}
		if len(t.rivals) > 0 {
			remove(t.rivals, r.Key, u)
		}
		t.hold(r.Key, holding{u, r}, cause)
	}
	if len(before) > 0 && len(objects) > 0 && &before[0] == &objects[0] {
		return // outputs are shared
	}
	for i := range before {
		r := &before[i].Record
		switch at := t.held[r.Key]; {
		case at.by != u:
			remove(t.rivals, r.Key, u)
		case at.is == r: // not held anew
			t.yield(r.Key, cause)
		}
	}
}

// yield takes an object from the unit that writes it: to a rival if there is one, else away.
func (t *target) yield(key record.Key, cause record.Cause) {
	heirs := slices.SortedFunc(maps.Keys(t.rivals[key]), func(a, b *unit) int { return a.key.compare(b.key) })
	for _, u := range heirs {
		for i := range u.objects {
			if r := &u.objects[i].Record; r.Key == key {
				remove(t.rivals, key, u)
				t.hold(key, holding{u, r}, cause)
				return
			}
		}
	}
	t.hold(key, holding{}, cause)
}

// hold notes what an object is from now on, the zero holding being that it is not there.
func (t *target) hold(key record.Key, next holding, cause record.Cause) {
	was := t.held[key].is
	if _, ok := t.touched[key]; ok || was == nil || next.is == nil || was.Version != next.is.Version {
		first, again := t.touched[key]
		if !again {
			first.was = was
		}
		first.cause = cause
		t.touched[key] = first
	}
	if next.is == nil {
		delete(t.held, key)
	} else {
		t.held[key] = next
	}
}

func add[K, V comparable](index map[K]map[V]struct{}, key K, value V) {
	if index[key] == nil {
		index[key] = map[V]struct{}{}
	}
	index[key][value] = struct{}{}
}

func remove[K, V comparable](index map[K]map[V]struct{}, key K, value V) {
	delete(index[key], value)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}
