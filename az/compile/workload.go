package compile

import (
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// The reasons of problems that are the compiler's own.
const (
	reasonRevisionMissing = "RevisionMissing"
	reasonPolicyMissing   = "PolicyMissing"
	reasonCompileFailed   = "CompileFailed"
)

// compileWorkload compiles what an application runs as in one cluster, or takes it away. If it cannot be compiled, what
// there is stays.
func (c *Compiler) compileWorkload(t *target, key unitKey, cause record.Cause, r *round) {
	a := c.app(key.namespace, key.application)
	r.standing(t, a)
	r.loosen(record.Key{}, a)
	b := a.bound[t.cluster.Name]
	if b == nil {
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		r.mark(t.cluster.Name, a.key(kindStub), cause)
		return
	}
	u := t.unit(key)
	sp, policy, problem := c.references(b, r)
	if problem != nil {
		u.problem = problem
		return
	}
	in := mesh.WorkloadInput{Cluster: t.cluster, Binding: b.binding, Policy: policy, Audience: c.audience(a),
		Services: c.services(b.binding.Dependencies), Remotes: c.remotes(t, b)}
	in.Locate = t.locate(in.Audience, c.cfg.Zone)
	out, err := sp.workload(t.shape, in)
	if err != nil {
		u.problem = failed(err)
		return
	}
	first := !u.made
	u.workload = out.workload
	t.inhabit(u, &traits{environment: sp.revision.Environment, tenant: sp.revision.Tenant, adopt: sp.adopt}, cause, r)
	t.accept(u, out.objects, cause)
	if first {
		r.mark(t.cluster.Name, a.key(kindStub), cause)
	}
}

// references are the revision and the policy of a binding. Without both the application is not compiled: what it may be
// called by is never guessed.
func (c *Compiler) references(b *bound, r *round) (*spec, record.Policy, *record.Problem) {
	sp := c.spec(b.revision)
	if sp == nil {
		return nil, record.Policy{}, &record.Problem{Reason: reasonRevisionMissing, Message: "revision " +
			b.binding.Revision + " has not arrived; what runs here stays until it does"}
	}
	r.thawed[sp] = struct{}{}
	e, ok := c.snapshot.Get(record.PolicyKey(b.binding.Namespace, b.binding.Application))
	if !ok {
		return nil, record.Policy{}, &record.Problem{Reason: reasonPolicyMissing,
			Message: "the policy that says who may call it has not arrived; what runs here stays until it does"}
	}
	policy, err := record.DecodePolicy(e.Record)
	if err != nil {
		return nil, record.Policy{}, failed(err)
	}
	return sp, policy, nil
}

func failed(err error) *record.Problem {
	return &record.Problem{Reason: reasonCompileFailed, Message: err.Error() + "; what runs here stays"}
}

// spec returns a revision, decoded when it is first wanted; nil if it is not there.
func (c *Compiler) spec(key record.Key) *spec {
	if s, ok := c.specs[key]; ok {
		return s
	}
	e, ok := c.snapshot.Get(key)
	if !ok {
		return nil
	}
	s := readSpec(e.Record)
	c.specs[key] = s
	return s
}

// services are the service records of dependencies, as far as they are known.
func (c *Compiler) services(dependencies []string) []record.Service {
	var out []record.Service
	for _, d := range dependencies {
		namespace, name, _ := strings.Cut(d, "/")
		if s, ok := c.service(namespace, name); ok {
			out = append(out, s)
		}
	}
	return out
}

func (c *Compiler) service(namespace, name string) (record.Service, bool) {
	e, ok := c.snapshot.Get(record.ServiceKey(namespace, name))
	if !ok {
		return record.Service{}, false
	}
	s, err := record.DecodeService(e.Record)
	return s, err == nil
}

// audience is who depends on an application; nobody, where there is no record of it.
func (c *Compiler) audience(a *app) record.Audience {
	if e, ok := c.snapshot.Get(record.AudienceKey(a.namespace, a.name)); ok {
		if v, err := record.DecodeAudience(e.Record); err == nil {
			return v
		}
	}
	return record.Audience{}
}

// locate says what the cluster's agent is to report of an application's endpoints: addresses for consumers that may be
// under other istiods on the same network, counts for those that are elsewhere, nothing where istiod knows all consumers
// itself. A zone does not know the networks of others' clusters one by one, so consumers in another zone are taken to be
// on every network of the audience.
func (t *target) locate(a record.Audience, zone string) mesh.Locate {
	abroad, flat := false, false
	for _, z := range a.Zones {
		if z != zone {
			abroad = true
		} else {
			abroad = abroad || t.outside.here
			flat = t.outside.flat
		}
	}
	for _, z := range a.Zones {
		flat = flat || z != zone
	}
	switch {
	case !abroad:
		return mesh.LocateNone
	case flat && t.cluster.Network != "" && slices.Contains(a.Networks, t.cluster.Network):
		return mesh.LocateAddresses
	default:
		return mesh.LocateCounts
	}
}

// workloadOf finds the object whose replicas are counted.
func workloadOf(objects []mesh.Object) record.KeyVersion {
	for _, o := range objects {
		if o.ID.Kind == "Deployment" && object.ClassOf(o.ID.Group, o.ID.Kind) == object.ClassWorkload {
			return record.KeyVersion{Key: o.Record.Key, Version: o.Record.Version}
		}
	}
	return record.KeyVersion{}
}
