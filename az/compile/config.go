package compile

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// prepareConfig gathers what an istiod is told of an application of its group. While the clusters of the group do not run
// the same revision, the first in order decides what it is made of; the proxies of all are told of what any depends on.
func (c *Compiler) prepareConfig(t *target, key unitKey, cause record.Cause, r *round) *job {
	a := c.app(key.namespace, key.application)
	r.loosen(record.Key{}, a)
	var first *bound
	called := map[*app]struct{}{}
	for _, member := range slices.Sorted(maps.Keys(c.groups[t.cluster.Name])) {
		b := a.bound[member]
		if b == nil {
			continue
		}
		if first == nil {
			first = b
		}
		for _, d := range b.dependencies {
			called[d] = struct{}{}
		}
		if m := c.targets[member]; m != nil {
			r.standing(m, a)
		}
	}
	if first == nil && t.governs() && c.needed(t, key) {
		return nil
	}
	if first == nil || !t.governs() {
		delete(t.unheard, key)
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		return nil
	}
	u := t.unit(key)
	sp, policy, problem := c.references(first)
	if problem != nil {
		u.problem = problem
		c.enforce(t, u, policy, cause)
		return nil
	}
	in := mesh.ConfigInput{Cluster: t.cluster, Generation: first.binding.Generation, Policy: policy.Policy}
	dependencies := slices.SortedFunc(maps.Keys(called), (*app).compare)
	for _, d := range dependencies {
		in.Dependencies = append(in.Dependencies, d.id())
	}
	faces := c.faces(dependencies)
	in.Services = servicesOf(faces)
	shape := t.shape
	return made{t, u, sp, policy, cause}.job(c, r, func() (*output, error) {
		return sp.config(in, digestOf(shape, policy.version, record.Version{}, faces))
	})
}
