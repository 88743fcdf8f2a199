package compile

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// inhabit gives a unit, if there is one, the traits that its namespace gets from it; nil is none.
func (t *target) inhabit(u *unit, next *traits, cause record.Cause, r *round) {
	if u == nil {
		return
	}
	before := u.traits
	if next == nil && before == nil || next != nil && before != nil && *next == *before {
		return
	}
	space := u.key.namespace
	counts := t.spaces[space]
	if counts == nil {
		counts = map[traits]int{}
		t.spaces[space] = counts
	}
	turned := false
	if next != nil {
		turned = count(&counts, *next, 1)
	}
	if before != nil {
		turned = count(&counts, *before, -1) || turned
	}
	if len(counts) == 0 {
		delete(t.spaces, space)
	}
	u.traits = next
	if turned {
		r.mark(t.cluster.Name, unitKey{kind: kindNamespace, namespace: space}, cause)
	}
}

// compileNamespace compiles a namespace from the traits that units give it. They agree on all but adopt and strict, except
// while a change of the Namespace passes through; until then the first in order decides. A namespace whose labels cannot
// be is left as it is: its applications say so, for their objects are refused.
func (c *Compiler) compileNamespace(t *target, key unitKey, cause record.Cause) {
	given := slices.SortedFunc(maps.Keys(t.spaces[key.namespace]), traits.compare)
	if len(given) == 0 {
		t.drop(key, cause)
		return
	}
	in := mesh.NamespaceInput{Cluster: t.cluster, Namespace: key.namespace, Environment: given[0].environment,
		Tenant: given[0].tenant}
	for _, tr := range given {
		in.Adopt = in.Adopt || tr.adopt
		in.Strict = in.Strict || tr.strict
	}
	if objects, err := mesh.Namespace(in); err == nil {
		t.accept(t.unit(key), objects, cause)
	}
}

// compileGateway compiles a part of the east-west gateway of an istiod, with exactly what is called from other networks.
func (c *Compiler) compileGateway(t *target, key unitKey, cause record.Cause) {
	exported := t.exported[key.part]
	if !t.governs() || len(exported) == 0 {
		t.drop(key, cause)
		return
	}
	objects, err := mesh.Gateway(mesh.GatewayInput{Cluster: t.cluster, Part: key.part, Exported: slices.Sorted(maps.Keys(exported))})
	if err != nil {
		t.unit(key).problem = failed(err)
		return
	}
	t.accept(t.unit(key), objects, cause)
}

// compileRoot compiles the Sidecar of the mesh's root namespace.
func (c *Compiler) compileRoot(t *target, key unitKey, cause record.Cause) {
	if !t.governs() {
		t.drop(key, cause)
		return
	}
	objects, err := mesh.Root(t.cluster)
	if err != nil {
		t.unit(key).problem = failed(err)
		return
	}
	t.accept(t.unit(key), objects, cause)
}

// problems are those of the cluster itself, which are no application's. What is wrong with its gateway is wrong with each
// part of that.
func (t *target) problems() []record.Problem {
	var out []record.Problem
	note := func(key unitKey) {
		if u := t.units[key]; u != nil && u.problem != nil && !slices.Contains(out, *u.problem) {
			out = append(out, *u.problem)
		}
	}
	for _, part := range slices.Sorted(maps.Keys(t.exported)) {
		note(unitKey{kind: kindGateway, part: part})
	}
	note(unitKey{kind: kindRoot})
	return out
}
