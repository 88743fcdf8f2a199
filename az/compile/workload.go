package compile

import (
	"fmt"
	"slices"

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

// prepareWorkload gathers what an application's workload in one cluster is made of, or takes it away. If that is not all
// there, or it cannot be compiled, what there is stays.
func (c *Compiler) prepareWorkload(t *target, key unitKey, cause record.Cause, r *round) *job {
	a := c.app(key.namespace, key.application)
	r.standing(t, a)
	r.loosen(record.Key{}, a)
	b := a.bound[t.cluster.Name]
	if b == nil {
		c.depart(t, t.units[key], cause)
		t.inhabit(t.units[key], nil, cause, r)
		t.drop(key, cause)
		r.mark(t.cluster.Name, a.key(kindStub), cause)
		return nil
	}
	u := t.unit(key)
	if u.problem = c.waits(t, u, r); u.problem != nil {
		return nil
	}
	sp, policy, problem := c.references(b)
	if problem != nil {
		u.problem = problem
		c.enforce(t, u, policy, cause)
		return nil
	}
	in := mesh.WorkloadInput{Cluster: t.cluster, Binding: b.binding, Policy: policy.Policy, Remotes: c.remotes(t, b),
		Istiod: c.clusters[t.istiod].Mesh.Gateway.Addresses}
	faces := c.faces(b.dependencies)
	in.Services = servicesOf(faces)
	audience := c.audience(a)
	in.Audience, in.Locate = audience.Audience, t.locate(audience.Audience, c.cfg.Zone)
	shape := t.shape
	return made{t, u, sp, policy, cause}.job(c, r, func() (*output, error) {
		return sp.workload(in, digestOf(shape, policy.version, audience.version, faces))
	})
}

// references are the revision and the policy of a binding. Without both the application is not compiled: what it may be
// called by is never guessed. The policy is there also without the revision.
func (c *Compiler) references(b *bound) (*spec, policyAt, *record.Problem) {
	policy, problem := c.policy(b.app)
	sp := c.spec(b.revision)
	switch {
	case sp == nil:
		return nil, policy, &record.Problem{Reason: reasonRevisionMissing, Message: "revision " +
			b.binding.Revision + " has not arrived; what runs here stays until it does"}
	case problem != nil:
		return nil, policyAt{}, problem
	case policy.Environment != sp.revision.Environment:
		return nil, policyAt{}, &record.Problem{Reason: reasonPolicyMissing, Message: fmt.Sprintf("the policy of environment %q has "+
			"not arrived, only one of %q; what runs here stays until it does", sp.revision.Environment, policy.Environment)}
	}
	return sp, policy, nil
}

func (c *Compiler) policy(a *app) (policyAt, *record.Problem) {
	e, ok := c.snapshot.Get(record.PolicyKey(a.namespace, a.name))
	if !ok {
		return policyAt{}, &record.Problem{Reason: reasonPolicyMissing,
			Message: "the policy that says who may call it has not arrived; what runs here stays until it does"}
	}
	policy, err := record.DecodePolicy(e.Record)
	if err != nil {
		return policyAt{}, failed(err)
	}
	return policyAt{policy, e.Version}, nil
}

// enforce brings a unit that cannot be compiled, or not yet, to a policy, unless that is not known or of another environment:
// what the policy takes away goes at once, whatever else is waited for. All else of the unit stays as it was.
func (c *Compiler) enforce(t *target, u *unit, policy policyAt, cause record.Cause) {
	if !u.made || policy.version == u.policy || policy.version == (record.Version{}) || policy.Environment != u.traits.environment {
		return
	}
	u.policy = policy.version
	t.replace(u, mesh.Enforce(u.objects, mesh.EnforceInput{Cluster: t.cluster, Subject: u.subject, Policy: policy.Policy,
		Audience: c.audience(c.app(u.key.namespace, u.key.application)).Audience}), cause)
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

// policyAt is a policy with its version.
type policyAt struct {
	record.Policy
	version record.Version
}

// faces are the service records of applications, as far as they are known.
func (c *Compiler) faces(list []*app) []*face {
	out := make([]*face, 0, len(list))
	for _, a := range list {
		if f := c.face(a); f != nil {
			out = append(out, f)
		}
	}
	return out
}

// face is an application's service record; nil where it is not known.
func (c *Compiler) face(a *app) *face {
	if a.face == nil {
		if e, ok := c.snapshot.Get(record.ServiceKey(a.namespace, a.name)); ok {
			if s, err := record.DecodeService(e.Record); err == nil {
				a.face = &face{s, e.Version}
			}
		}
	}
	return a.face
}

func servicesOf(faces []*face) []record.Service {
	out := make([]record.Service, len(faces))
	for i, f := range faces {
		out[i] = f.Service
	}
	return out
}

// audienceAt is an audience with its version.
type audienceAt struct {
	record.Audience
	version record.Version
}

// audience is who depends on an application; nobody, where there is no record of it.
func (c *Compiler) audience(a *app) audienceAt {
	if a.heard == nil {
		a.heard = &audienceAt{}
		if e, ok := c.snapshot.Get(record.AudienceKey(a.namespace, a.name)); ok {
			if v, err := record.DecodeAudience(e.Record); err == nil {
				*a.heard = audienceAt{v, e.Version}
			}
		}
	}
	return *a.heard
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
