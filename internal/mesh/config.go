package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/record"
)

// ConfigInput is all that the Istio objects about one application's own proxies are made of.
type ConfigInput struct {
	// Cluster is the one whose istiod configures the proxies.
	Cluster record.Cluster
	Spec    *Spec
	// Generation is the compiler generation of the binding.
	Generation uint32
	// Dependencies are those of all clusters that share the istiod, in any order.
	Dependencies []string
	// Services are the known service records of the dependencies, in any order. A dependency known to have no ports is left
	// out of the Sidecar. One that is not known is listed: its host is certain, and a host that names nothing costs a proxy
	// nothing. Only an ExternalService's hosts are its record's, so that one is listed once it is known.
	Services []record.Service
	// Policy is the application's; it must be known.
	Policy record.Policy
}

// Config compiles what istiod is told about one application's own proxies, once for all clusters that share it: who may
// call them (AuthorizationPolicy), what they call (Sidecar), and with which credentials, where ExternalServices ask for
// some (DestinationRules). There is nothing without a mesh.
func Config(in ConfigInput) ([]Object, error) {
	objects, err := in.compile()
	if err != nil {
		return nil, fmt.Errorf("compiling %s/%s: %w", in.Spec.namespace, in.Spec.application, err)
	}
	return objects, nil
}

func (in *ConfigInput) compile() ([]Object, error) {
	s := in.Spec
	if err := checkGeneration(in.Generation); err != nil {
		return nil, err
	}
	if err := checkSubject("policy", in.Policy.Namespace, in.Policy.Application, s.namespace, s.application); err != nil {
		return nil, err
	}
	if !inMesh(in.Cluster) {
		return nil, nil
	}
	authorization, err := s.authorization(in.Policy)
	if err != nil {
		return nil, err
	}
	called := externalsOf(in.Dependencies, in.Services)
	sidecar, err := s.sidecar(in, called)
	if err != nil {
		return nil, err
	}
	objects := append([]Object{authorization}, s.credentialRules(called)...)
	return append(objects, sidecar), nil
}
