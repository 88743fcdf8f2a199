package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// WorkloadInput is all that an application's workload in one cluster is made of.
type WorkloadInput struct {
	Cluster record.Cluster
	Binding record.Binding
	// Spec is the binding's revision.
	Spec *Spec
	// Policy is the application's. It must be known: without it nobody could say who may call.
	Policy record.Policy
	// Audience is zero where nobody depends on the application.
	Audience record.Audience
	// Services are the known service records of the binding's dependencies, in any order. Nothing is let through to a
	// dependency that is not known.
	Services []record.Service
	// Remotes are the places where dependencies are reached that no pod selector finds: by a gateway of another network, or
	// in another cluster of this one.
	Remotes []record.Place
	// Istiod has the addresses of the primary's east-west gateway, where another cluster's istiod configures this one; empty
	// where they are not known.
	Istiod []string
	// Locate has the cluster's agent report the application's endpoints.
	Locate Locate
}

// Workload compiles what runs of one application in one cluster, in the order of application: its ServiceAccount,
// Deployment, Service, NetworkPolicies and the resources that it carries. Records that are the same in every cluster share
// their bytes.
func Workload(in WorkloadInput) ([]Object, error) {
	objects, err := in.compile()
	if err != nil {
		return nil, fmt.Errorf("compiling %s/%s: %w", in.Binding.Namespace, in.Binding.Application, err)
	}
	return objects, nil
}

func (in *WorkloadInput) compile() ([]Object, error) {
	s, b := in.Spec, in.Binding
	if err := checkGeneration(b.Generation); err != nil {
		return nil, err
	}
	if err := checkSubject("spec", s.namespace, s.application, b.Namespace, b.Application); err != nil {
		return nil, err
	}
	if err := checkSubject("policy", in.Policy.Namespace, in.Policy.Application, b.Namespace, b.Application); err != nil {
		return nil, err
	}
	objects := make([]Object, len(s.fixed), len(s.fixed)+4)
	copy(objects, s.fixed)
	objects = append(objects, s.deployment(b.Replicas, inMesh(in.Cluster)))
	network, err := in.networkPolicies()
	if err != nil {
		return nil, err
	}
	objects = append(objects, network...)
	if len(s.ports) > 0 {
		service, err := in.service()
		if err != nil {
			return nil, err
		}
		objects = append(objects, service)
	}
	sortObjects(objects)
	return objects, nil
}

func (in *WorkloadInput) service() (Object, error) {
	s := in.Spec
	visible, err := serviceExportTo(in.Cluster, s.namespace, in.Audience)
	if err != nil {
		return Object{}, err
	}
	return face{namespace: s.namespace, application: s.application, adopt: s.adopt, ports: s.ports,
		exportTo: visible, locate: in.locate()}.service()
}

// locate asks for no addresses of pods without a proxy, since nobody is sent to them from other clusters: the count is enough
// to say so.
func (in *WorkloadInput) locate() Locate {
	if in.Locate == LocateAddresses && !(inMesh(in.Cluster) && in.Spec.proxied) {
		return LocateCounts
	}
	return in.Locate
}

func inMesh(cluster record.Cluster) bool {
	return cluster.Mesh.Dataplane != string(v1alpha1.DataplaneNone)
}

func (s *Spec) account() Object {
	return s.draft(idOf("", "v1", "ServiceAccount", s.namespace, s.application), nil).seal()
}

func (s *Spec) deploymentID() object.ID {
	return idOf("apps", "v1", "Deployment", s.namespace, s.application)
}

// deployment leaves replicas to an autoscaler where the application brings one: applied again and again, they would
// undo its work.
func (s *Spec) deployment(replicas int32, meshed bool) Object {
	template := s.plain
	if meshed {
		template = s.meshed
	}
	spec := fields{{"selector", fields{{"matchLabels", selectorOf(s.application)}}}, {"template", template}}
	if !s.autoscaled {
		spec = append(spec, field{"replicas", replicas})
	}
	return s.draft(s.deploymentID(), spec).seal()
}
