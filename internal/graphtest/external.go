package graphtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// External is one ExternalService of a World. Applications name its ID among their dependencies.
type External struct {
	Namespace, Name string
	Ports           []record.Port
	record.External
}

// ID is NAMESPACE/NAME.external.
func (e *External) ID() string {
	return record.ServiceName(e.Namespace, record.ExternalName(e.Name))
}

// Service is the ExternalService's service record.
func (e *External) Service() record.Service {
	return record.Service{Namespace: e.Namespace, Application: record.ExternalName(e.Name), Environment: Environment,
		Tenant: "tenant-" + e.Namespace, Ports: e.Ports, External: &e.External}
}

// AddExternal adds an ExternalService.
func (w *World) AddExternal(e *External) *External {
	if w.Externals == nil {
		w.Externals = map[string]*External{}
	}
	w.Externals[e.ID()] = e
	return e
}

// external is what the store of a zone holds of one ExternalService: all where it is called, else nothing.
func (w *World) external(zone string, e *External, callers []*Application) []record.Record {
	if !w.calledIn(zone, callers) {
		return nil
	}
	return []record.Record{e.Service().Record(), w.audience(e.Namespace, record.ExternalName(e.Name), callers).Record()}
}

// calledIn tells whether one of the callers runs in a zone.
func (w *World) calledIn(zone string, callers []*Application) bool {
	for _, c := range callers {
		for cluster := range c.Clusters {
			if w.Clusters[cluster].Zone == zone {
				return true
			}
		}
	}
	return false
}

// addExternals has every other application depend on one of some ExternalServices, which come in all shapes.
func (w *World) addExternals(g Graph) {
	if g.Externals == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(g.Seed, 5))
	ids := make([]string, g.Externals)
	for i := range ids {
		e := &External{Namespace: fmt.Sprintf("team-%04d", rng.IntN(g.Namespaces)), Name: fmt.Sprintf("external-%04d", i),
			Ports:    []record.Port{{Name: "main", Port: 3306, TargetPort: 3306 + rng.Int32N(2), Protocol: "TCP", AppProtocol: "mysql"}},
			External: record.External{Hosts: []string{fmt.Sprintf("external-%04d.example.com", i)}, Address: fmt.Sprintf("10.250.%d.%d", i/250, i%250+1)}}
		if rng.IntN(2) == 0 {
			e.Endpoints = []record.ExternalEndpoint{{Address: fmt.Sprintf("198.51.100.%d", i%250+1)}}
		}
		if rng.IntN(2) == 0 {
			e.TLS = &record.ExternalTLS{CredentialName: []string{"", "client"}[rng.IntN(2)]}
		}
		ids[i] = w.AddExternal(e).ID()
	}
	for _, id := range w.IDs() {
		if a := w.Applications[id]; rng.IntN(2) == 0 {
			a.Dependencies = append(a.Dependencies, ids[rng.IntN(len(ids))])
			slices.Sort(a.Dependencies)
		}
	}
}
