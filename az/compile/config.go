package compile

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// compileConfig compiles what an istiod is told of an application of its group. While the clusters of the group do not run
// the same revision, the first in order decides what it is made of; the proxies of all are told of what any depends on.
func (c *Compiler) compileConfig(t *target, key unitKey, cause record.Cause, r *round) {
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
	if first == nil || !t.governs() {
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		return
	}
	u := t.unit(key)
	sp, policy, problem := c.references(first, r)
	if problem != nil {
		u.problem = problem
		return
	}
	in := mesh.ConfigInput{Cluster: t.cluster, Generation: first.binding.Generation, Policy: policy.Policy}
	dependencies := slices.SortedFunc(maps.Keys(called), (*app).compare)
	for _, d := range dependencies {
		in.Dependencies = append(in.Dependencies, d.id())
	}
	faces := c.faces(dependencies)
	in.Services = servicesOf(faces)
	out, err := sp.config(in, digestOf(t.shape, policy.version, record.Version{}, faces))
	if err != nil {
		u.problem = failed(err)
		return
	}
	t.inhabit(u, &traits{environment: sp.revision.Environment, tenant: sp.revision.Tenant, adopt: sp.adopt,
		strict: len(out.objects) > 0}, cause, r)
	t.accept(u, out.objects, cause)
}
