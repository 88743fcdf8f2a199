package compile

import (
	"strings"

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
		c.lose(a, istiod, key.part, r)
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
	c.refuse(a, istiod, key.part, a.problems(problems, err), r)
	if t.mine && err == nil {
		t.accept(t.unit(key), objects, cause)
	}
}

// compileChunk compiles a chunk of an application's addresses beyond an istiod's group. Like compileCallee, it does so for
// its problems alone where another shard owns the istiod's cluster.
func (c *Compiler) compileChunk(t *target, key unitKey, cause record.Cause, r *round) {
	a, istiod := c.app(key.namespace, key.application), t.cluster.Name
	r.loosen(record.Key{}, a)
	cluster, _, _ := strings.Cut(key.part, "/")
	place := c.places[cluster]
	location, there := c.location(a, key.part)
	if !there || place == nil || a.called[istiod] == 0 || !t.governs() || c.configures(cluster) == istiod {
		t.drop(key, cause)
		c.lose(a, istiod, key.part, r)
		return
	}
	a.finds(istiod).chunks[key.part] = struct{}{}
	if t.mine {
		t.unit(key)
	}
	service := c.face(a)
	if service == nil {
		return
	}
	objects, problems, err := mesh.Chunk(mesh.ChunkInput{Cluster: t.cluster, Service: service.Service, Audience: c.audience(a).Audience,
		Location: location, Place: place.Place, Weightless: place.weightless})
	c.refuse(a, istiod, key.part, a.problems(problems, err), r)
	if t.mine && err == nil {
		t.accept(t.unit(key), objects, cause)
	}
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
