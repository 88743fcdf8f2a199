package compile

import (
	"slices"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// compileStub compiles the Service of an application that is called in a cluster and does not run there. The istiod that
// configures a cluster needs it beside itself too: it joins remote endpoints to Services of its own cluster alone. One that
// comes to run there takes the Service over when it is compiled, not before.
func (c *Compiler) compileStub(t *target, key unitKey, cause record.Cause, r *round) {
	a := c.app(key.namespace, key.application)
	r.loosen(record.Key{}, a)
	wanted := a.demand[t.cluster.Name] > 0 || t.governs() && a.called[t.cluster.Name] > 0
	if !wanted || t.has(a.key(kindWorkload)) {
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		return
	}
	u := t.unit(key)
	service := c.face(a)
	if service == nil {
		return
	}
	objects, err := mesh.Stub(mesh.StubInput{Cluster: t.cluster, Service: service.Service, Audience: c.audience(a).Audience})
	if err != nil {
		u.problem = failed(err)
		return
	}
	var in *traits
	if len(objects) > 0 {
		in = &traits{environment: service.Environment, tenant: service.Tenant}
	}
	t.inhabit(u, in, cause, r)
	t.accept(u, objects, cause)
}

// compileCallee compiles how an istiod finds an application that its group calls. Why it cannot be called is told of those
// that call it, also where another shard owns the istiod's cluster.
func (c *Compiler) compileCallee(t *target, key unitKey, cause record.Cause, r *round) {
	a, istiod := c.app(key.namespace, key.application), t.cluster.Name
	r.loosen(record.Key{}, a)
	if a.called[istiod] == 0 || !t.governs() {
		t.drop(key, cause)
		c.refuse(a, istiod, nil, r)
		return
	}
	if t.mine {
		t.unit(key)
	}
	service := c.face(a)
	if service == nil {
		return
	}
	objects, problems, err := mesh.Callee(mesh.CalleeInput{Cluster: t.cluster, Service: service.Service, Audience: c.audience(a).Audience,
		Sites: c.sites(istiod, a)})
	if err != nil {
		problem := failed(err)
		problem.Message = "how " + a.id() + " is called: " + problem.Message
		c.refuse(a, istiod, []record.Problem{*problem}, r)
		return
	}
	c.refuse(a, istiod, problems, r)
	if t.mine {
		t.accept(t.unit(key), objects, cause)
	}
}

// refuse notes why an application cannot be called under an istiod; if that is news, its callers there stand otherwise.
func (c *Compiler) refuse(a *app, istiod string, problems []record.Problem, r *round) {
	if slices.Equal(a.refused[istiod], problems) {
		return
	}
	if a.refused == nil {
		a.refused = map[string][]record.Problem{}
	}
	if len(problems) == 0 {
		delete(a.refused, istiod)
	} else {
		a.refused[istiod] = problems
	}
	for b := range a.callers {
		if t := c.targets[b.binding.Cluster]; t != nil && t.istiod == istiod {
			r.standing(t, b.app)
		}
	}
}
