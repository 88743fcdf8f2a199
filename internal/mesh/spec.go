package mesh

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Spec is an application's spec, checked, and compiled as far as that is the same in every cluster. It is immutable and
// may be shared between goroutines.
type Spec struct {
	*Subject
	autoscaled bool
	// fixed are the objects that no cluster and no binding changes.
	fixed []Object
	// meshed and plain are the pod template with and without the mesh's label.
	meshed, plain json.RawMessage
	ids           []object.ID
}

// document is an application's spec as far as the compiler looks into it.
type document struct {
	template  podTemplate
	replicas  *int32
	ports     []v1alpha1.Port
	resources []runtime.RawExtension
	dependsOn []v1alpha1.Dependency
	adopt     bool
}

func (d *document) read(spec []byte) error {
	if !json.Valid(spec) {
		return errors.New("it is no JSON")
	}
	return each(spec, func(key string, value []byte) error {
		switch key {
		case "template":
			return d.template.read(value)
		case "replicas":
			return json.Unmarshal(value, &d.replicas)
		case "ports":
			return json.Unmarshal(value, &d.ports)
		case "resources":
			return json.Unmarshal(value, &d.resources)
		case "dependsOn":
			return eachOf(value, d.depend)
		case "adopt":
			return json.Unmarshal(value, &d.adopt)
		}
		return nil
	})
}

// depend reads one dependency.
func (d *document) depend(value []byte) error {
	var on v1alpha1.Dependency
	err := each(value, func(key string, value []byte) error {
		s, err := text(value)
		switch key {
		case "kind":
			on.Kind = v1alpha1.DependencyKind(s)
		case "namespace":
			on.Namespace = s
		case "name":
			on.Name = s
		default:
			return nil
		}
		return err
	})
	d.dependsOn = append(d.dependsOn, on)
	return err
}

// Decode reads a revision's spec, which is canonical JSON as Normalise writes it. Callers keep the result for as long as
// they use the revision.
func Decode(rev record.Revision) (*Spec, error) {
	var doc document
	if err := doc.read(rev.Spec); err != nil {
		return nil, fmt.Errorf("decoding the spec of %s/%s: %w", rev.Namespace, rev.Application, err)
	}
	s, err := newSpec(rev.Namespace, rev.Application, &doc)
	if err != nil {
		return nil, fmt.Errorf("compiling the spec of %s/%s: %w", rev.Namespace, rev.Application, err)
	}
	return s, nil
}

// Check returns the ids of all objects that the application owns in a cluster, Istio's about its own proxies included, its
// Namespace and what is written for those who call it not, sorted as they are applied. Nor are DestinationRules for
// ExternalServices that it calls: of how many hosts these are no spec says, and nobody else's object has such a name. Where the spec cannot be compiled, the error is an *Error.
func Check(namespace, name string, spec *v1alpha1.ApplicationSpec) ([]object.ID, error) {
	doc := document{replicas: spec.Replicas, ports: spec.Ports, resources: spec.Resources, dependsOn: spec.DependsOn, adopt: spec.Adopt}
	var err error
	if doc.template, err = templateOf(&spec.Template); err != nil {
		return nil, err
	}
	s, err := newSpec(namespace, name, &doc)
	if err != nil {
		return nil, err
	}
	return s.ids, nil
}

// IDs is what Check returns for the spec. The caller must not write to it.
func (s *Spec) IDs() []object.ID { return s.ids }

// Adopt tells whether the application takes over objects that exist already and are nobody's.
func (s *Spec) Adopt() bool { return s.adopt }

func newSpec(namespace, name string, doc *document) (*Spec, error) {
	if err := checkNames(namespace, name); err != nil {
		return nil, err
	}
	if err := checkReferences(namespace, doc); err != nil {
		return nil, err
	}
	if err := checkTemplate(name, &doc.template); err != nil {
		return nil, err
	}
	s := &Spec{Subject: &Subject{namespace: namespace, application: name, adopt: doc.adopt, proxied: doc.template.proxied()}}
	s.meshed, s.plain = doc.template.compile(name)
	var err error
	if s.ports, err = portsOf(doc.ports); err != nil {
		return nil, err
	}
	s.fixed = append(s.fixed, s.account())
	s.ids = []object.ID{s.deploymentID(), s.networkPolicyID(), s.authorizationID(), s.sidecarID()}
	if len(s.ports) > 0 {
		s.ids = append(s.ids, serviceID(namespace, name))
	}
	if s.proxied {
		s.ids = append(s.ids, s.proxiedPolicyID())
	}
	if err := s.carry(doc.resources); err != nil {
		return nil, err
	}
	sortObjects(s.fixed)
	for _, o := range s.fixed {
		s.ids = append(s.ids, o.ID)
	}
	slices.SortFunc(s.ids, compareIDs)
	return s, nil
}

// checkReferences checks the fields that are no object's but are used by the compiler or by Global.
func checkReferences(namespace string, doc *document) error {
	if doc.replicas != nil && *doc.replicas < 0 {
		return invalidSpec("spec.replicas", "%d is less than 0", *doc.replicas)
	}
	for i, d := range doc.dependsOn {
		field := fmt.Sprintf("spec.dependsOn[%d]", i)
		kind := cmp.Or(d.Kind, v1alpha1.DependencyApplication)
		if kind != v1alpha1.DependencyApplication && kind != v1alpha1.DependencyExternalService {
			return invalidSpec(field+".kind", "%q is unknown; the kinds are %s and %s", kind, v1alpha1.DependencyApplication,
				v1alpha1.DependencyExternalService)
		}
		if d.Namespace == "" {
			d.Namespace = namespace
		}
		if _, err := dependencyHost(record.ServiceName(d.Namespace, d.Name)); err != nil {
			return invalidSpec(field, "namespace %q and name %q cannot be those of an %s", d.Namespace, d.Name, kind)
		}
	}
	return nil
}
