package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
)

// StubInput is all that the Service of an application is made of in a cluster that calls it and runs none of it.
type StubInput struct {
	Cluster record.Cluster
	Service record.Service
	// Audience is zero where it is not known.
	Audience record.Audience
}

// Stub compiles the Service of an application that the cluster calls and does not run: its name and cluster address, with
// the selector that its pods would have, so that its becoming real is an update, or nothing. It does not adopt what is
// there already: that is for the application to ask where it runs. There is none without a mesh, whose proxies alone know
// where the calls go, nor for an application without ports.
func Stub(in StubInput) ([]Object, error) {
	s := in.Service
	if !inMesh(in.Cluster) || len(s.Ports) == 0 {
		return nil, nil
	}
	name := record.ServiceName(s.Namespace, s.Application)
	if err := checkService(s); err != nil {
		return nil, fmt.Errorf("compiling the stub of %s: %w", name, err)
	}
	visible, err := serviceExportTo(in.Cluster, s.Namespace, in.Audience)
	if err != nil {
		return nil, fmt.Errorf("compiling the stub of %s: %w", name, err)
	}
	f := face{namespace: s.Namespace, application: s.Application, ports: s.Ports, exportTo: visible}
	service, err := f.service()
	if err != nil {
		return nil, fmt.Errorf("compiling the stub of %s: %w", name, err)
	}
	return []Object{service}, nil
}
