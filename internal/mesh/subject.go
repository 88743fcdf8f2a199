package mesh

import (
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Subject is what the objects about who may call an application are made of, beside its policy: the part of a Spec that is
// kept with what was compiled, so that they follow the policy also while no Spec can be had. It is immutable.
type Subject struct {
	namespace, application string
	adopt                  bool
	// ports are the Service's, checked, with their defaults; an application without them is not called.
	ports []record.Port
	// proxied: in a cluster with a mesh the pods have a proxy.
	proxied bool
}

func (s *Subject) draft(id object.ID, spec any) draft {
	return draft{id: id, application: s.application, adopt: s.adopt, spec: spec}
}

func (s *Subject) authorizationID() object.ID {
	return idOf(groupSecurity, "v1", "AuthorizationPolicy", s.namespace, s.application)
}

func (s *Subject) networkPolicyID() object.ID {
	return idOf("networking.k8s.io", "v1", "NetworkPolicy", s.namespace, s.application)
}

// proxiedPolicyID is of the NetworkPolicy for the pods with a proxy alone. No application has a dot in its name.
func (s *Subject) proxiedPolicyID() object.ID {
	return idOf("networking.k8s.io", "v1", "NetworkPolicy", s.namespace, s.application+".proxied")
}

// EnforceInput is all that what was compiled of an application is brought to its policy with.
type EnforceInput struct {
	Cluster record.Cluster
	// Subject is that of the Spec of which the objects were compiled.
	Subject *Subject
	Policy  record.Policy
	// Audience is zero where nobody depends on the application.
	Audience record.Audience
}

// Enforce brings objects that Workload or Config compiled earlier to another policy: whom the application's proxies and the
// network let in. All else stays as it is, so it needs no Spec. It cannot fail: what of the policy or of the cluster cannot
// be compiled lets nobody in, and is told when the whole is compiled.
func Enforce(objects []Object, in EnforceInput) []Object {
	s := in.Subject
	out := make([]Object, 0, len(objects))
	for _, o := range objects {
		switch o.ID {
		case s.authorizationID():
			o, _ = s.authorization(in.Policy)
		case s.networkPolicyID():
			rules, _ := in.ingress()
			o = s.networkPolicy(rules.all, egressOf(o))
		case s.proxiedPolicyID():
			rules, _ := in.ingress()
			if len(rules.proxied) == 0 {
				continue
			}
			o = s.proxiedPolicy(rules.proxied)
		}
		out = append(out, o)
	}
	return out
}
