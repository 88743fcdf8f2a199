package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
)

// ApplicationInput is all that Application takes.
type ApplicationInput struct {
	Cluster record.Cluster
	Binding record.Binding
	// Spec is the binding's revision.
	Spec *Spec
	// Services are as in ConfigInput.
	Services []record.Service
}

// Application compiles what Workload and Config do, but for policies: nobody else sees or is kept from the application.
func Application(in ApplicationInput) ([]Object, error) {
	s, b := in.Spec, in.Binding
	if err := checkGeneration(b.Generation); err != nil {
		return nil, fmt.Errorf("compiling %s/%s: %w", b.Namespace, b.Application, err)
	}
	if err := checkSubject("spec", s.namespace, s.application, b.Namespace, b.Application); err != nil {
		return nil, fmt.Errorf("compiling %s/%s: %w", b.Namespace, b.Application, err)
	}
	meshed := inMesh(in.Cluster)
	objects := append([]Object{s.deployment(b.Replicas, meshed)}, s.fixed...)
	if len(s.ports) > 0 {
		service, err := (&WorkloadInput{Cluster: in.Cluster, Spec: s}).service()
		if err != nil {
			return nil, fmt.Errorf("compiling %s/%s: %w", b.Namespace, b.Application, err)
		}
		objects = append(objects, service)
	}
	if meshed {
		sidecar, err := s.sidecar(&ConfigInput{Cluster: in.Cluster, Spec: s, Dependencies: b.Dependencies, Services: in.Services})
		if err != nil {
			return nil, fmt.Errorf("compiling %s/%s: %w", b.Namespace, b.Application, err)
		}
		objects = append(objects, sidecar)
	}
	sortObjects(objects)
	return objects, nil
}
