package compile

import (
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// prepareStub gathers what the Service is made of of an application that is called in a cluster and does not run there. The
// istiod that configures a cluster needs it beside itself too: it joins remote endpoints to Services of its own cluster alone.
// One that comes to run there takes the Service over when it is compiled, not before.
func (c *Compiler) prepareStub(t *target, key unitKey, cause record.Cause, r *round) *job {
	a := c.app(key.namespace, key.application)
	r.loosen(record.Key{}, a)
	wanted := a.demand[t.cluster.Name] > 0 || t.governs() && a.called[t.cluster.Name] > 0
	if !wanted || t.has(a.key(kindWorkload)) {
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		return nil
	}
	u := t.unit(key)
	service := c.face(a)
	if service == nil {
		return nil
	}
	in := mesh.StubInput{Cluster: t.cluster, Service: service.Service, Audience: c.audience(a).Audience}
	var objects []mesh.Object
	var err error
	return &job{key: key, compile: func() { objects, err = mesh.Stub(in) }, accept: func() {
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
	}}
}

// prepareCallee gathers how an istiod finds an application that its group calls. Why it cannot be called is told of those that
// call it, also where another shard owns the istiod's cluster.
func (c *Compiler) prepareCallee(t *target, key unitKey, cause record.Cause, r *round) *job {
	a, istiod := c.app(key.namespace, key.application), t.cluster.Name
	r.loosen(record.Key{}, a)
	if a.called[istiod] == 0 || !t.governs() || c.withdrawn(t, a, key) {
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		c.lose(a, istiod, key.part, r)
		return nil
	}
	if a.external() {
		return c.find(t, key, cause, r, func(s record.Service, audience record.Audience) ([]mesh.Object, []record.Problem, error) {
			return mesh.External(mesh.ExternalInput{Cluster: t.cluster, Service: s, Audience: audience})
		})
	}
	in := mesh.CalleeInput{Cluster: t.cluster, Sites: c.sites(istiod, a)}
	return c.find(t, key, cause, r, func(s record.Service, audience record.Audience) ([]mesh.Object, []record.Problem, error) {
		in.Service, in.Audience = s, audience
		return mesh.Callee(in)
	})
}

// withdrawn tells whether a unit is of an ExternalService of which there is no record any more: it was deleted, of which those
// that depend on it are told. After the shard took the cluster over, the record may be yet to arrive.
func (c *Compiler) withdrawn(t *target, a *app, key unitKey) bool {
	_, blank := t.blank[key]
	return a.external() && !blank && c.face(a) == nil
}

// prepareChunk gathers a chunk of an application's addresses beyond an istiod's group. Like prepareCallee, it does so for its
// problems alone where another shard owns the istiod's cluster.
func (c *Compiler) prepareChunk(t *target, key unitKey, cause record.Cause, r *round) *job {
	a, istiod := c.app(key.namespace, key.application), t.cluster.Name
	r.loosen(record.Key{}, a)
	cluster, _, _ := strings.Cut(key.part, "/")
	place := c.places[cluster]
	location, there := c.location(a, key.part)
	if !there || place == nil || a.called[istiod] == 0 || !t.governs() || c.configures(cluster) == istiod {
		t.drop(key, cause)
		c.lose(a, istiod, key.part, r)
		return nil
	}
	a.finds(istiod).chunks[key.part] = struct{}{}
	in := mesh.ChunkInput{Cluster: t.cluster, Location: location, Place: place.Place, Weightless: place.weightless}
	return c.find(t, key, cause, r, func(s record.Service, audience record.Audience) ([]mesh.Object, []record.Problem, error) {
		in.Service, in.Audience = s, audience
		return mesh.Chunk(in)
	})
}

// find is the job of compiling how an istiod finds an application, as far as a unit goes; none while that is not known.
func (c *Compiler) find(t *target, key unitKey, cause record.Cause, r *round,
	compile func(record.Service, record.Audience) ([]mesh.Object, []record.Problem, error)) *job {
	a := c.app(key.namespace, key.application)
	if t.mine {
		t.unit(key)
	}
	service, audience := c.face(a), c.audience(a).Audience
	if service == nil {
		return nil
	}
	var objects []mesh.Object
	var problems []record.Problem
	var err error
	return &job{key: key, compile: func() { objects, problems, err = compile(service.Service, audience) }, accept: func() {
		c.refuse(a, t.cluster.Name, key.part, a.problems(problems, err), r)
		if !t.mine {
			return
		}
		u := t.unit(key)
		if err != nil {
			if a.external() {
				t.void(u, traits{environment: service.Environment, tenant: service.Tenant}, cause, r)
			}
			return
		}
		if a.external() && len(objects) > 0 { // an application's namespace is the stub's affair
			t.inhabit(u, &traits{environment: service.Environment, tenant: service.Tenant}, cause, r)
		} else {
			t.inhabit(u, nil, cause, r)
		}
		t.accept(u, objects, cause)
	}}
}

// void takes away what there is of an ExternalService that cannot be compiled, which must not have the cluster wait for it, as one
// does that a shard took over. Its callers are compiled without it, so nobody misses it. Its namespace stays: others can have
// something in there.
func (t *target) void(u *unit, in traits, cause record.Cause, r *round) {
	t.inhabit(u, &in, cause, r)
	t.accept(u, nil, cause)
}

// location is what is stored of an application in a cluster, or CLUSTER/CHUNK.
func (c *Compiler) location(a *app, where string) (l record.Location, ok bool) {
	e, ok := c.snapshot.Get(record.Key{Kind: record.KindLocation, Name: a.id() + "/" + where})
	if !ok {
		return record.Location{}, false
	}
	l, err := record.DecodeLocation(e.Record)
	return l, err == nil
}

// markFound has compiled how an application is found under an istiod where it is called: as a whole, and its chunks, those in
// one cluster or, with an empty one, all.
func (c *Compiler) markFound(a *app, istiod, cluster string, cause record.Cause, r *round) {
	r.mark(istiod, a.key(kindCallee), cause)
	prefix := ""
	if cluster != "" {
		prefix = cluster + "/"
	}
	if f := a.found[istiod]; f != nil { // also those whose location has gone
		for part := range f.chunks {
			if strings.HasPrefix(part, prefix) {
				r.mark(istiod, a.chunk(part), cause)
			}
		}
	}
	if len(a.sites) == 0 {
		return
	}
	id := a.id() + "/"
	for e := range c.snapshot.Prefix(record.KindLocation, id+prefix) {
		if part := e.Key.Name[len(id):]; strings.Contains(part, "/") {
			r.mark(istiod, a.chunk(part), cause)
		}
	}
}
