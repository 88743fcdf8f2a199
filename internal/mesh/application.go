package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// ApplicationInput is all that an application's objects in one cluster are made of.
type ApplicationInput struct {
	Cluster record.Cluster
	Binding record.Binding
	// Spec is the binding's revision.
	Spec *Spec
	// Services are the known service records of the binding's dependencies, in any order. A dependency known to have
	// no ports is left out of the Sidecar. One that is not known is listed: its host is certain, and a host that names
	// nothing costs a proxy nothing.
	Services []record.Service
}

// Application compiles the objects of one application in one cluster, in the order of application. Records that are the
// same in every cluster share their bytes.
func Application(in ApplicationInput) ([]Object, error) {
	s, b := in.Spec, in.Binding
	if err := checkGeneration(b.Generation); err != nil {
		return nil, fmt.Errorf("compiling %s/%s: %w", b.Namespace, b.Application, err)
	}
	if b.Namespace != s.namespace || b.Application != s.application {
		return nil, fmt.Errorf("compiling %s/%s: the spec is of %s/%s", b.Namespace, b.Application, s.namespace, s.application)
	}
	meshed := inMesh(in.Cluster)
	objects := make([]Object, len(s.fixed), len(s.fixed)+2)
	copy(objects, s.fixed)
	objects = append(objects, s.deployment(b.Replicas, meshed))
	if meshed {
		sidecar, err := s.sidecar(in)
		if err != nil {
			return nil, fmt.Errorf("compiling %s/%s: %w", b.Namespace, b.Application, err)
		}
		objects = append(objects, sidecar)
	}
	sortObjects(objects)
	return objects, nil
}

func inMesh(cluster record.Cluster) bool {
	return cluster.Mesh.Dataplane != string(v1alpha1.DataplaneNone)
}

// selector picks the application's pods. A Deployment's selector can never change, so it is one label.
func (s *Spec) selector() map[string]string {
	return map[string]string{object.LabelApplication: s.application}
}

func (s *Spec) draft(id object.ID, body map[string]any) draft {
	return draft{id: id, application: s.application, adopt: s.adopt, body: body}
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
	spec := map[string]any{"selector": map[string]any{"matchLabels": s.selector()}, "template": template}
	if !s.autoscaled {
		spec["replicas"] = replicas
	}
	return s.draft(s.deploymentID(), map[string]any{"spec": spec}).seal()
}
