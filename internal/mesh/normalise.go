package mesh

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// Normalise writes the spec as a revision holds it: canonical JSON with the defaults filled in, so that specs which ask
// for the same have equal bytes. It does not check the spec and does not change it.
func Normalise(namespace, name string, spec *v1alpha1.ApplicationSpec) ([]byte, error) {
	n := spec.DeepCopy()
	n.Template = bareTemplate(&n.Template)
	if n.Template.Spec.ServiceAccountName == name {
		n.Template.Spec.ServiceAccountName = ""
	}
	if n.Replicas == nil {
		one := int32(1)
		n.Replicas = &one
	}
	for i, p := range n.Ports {
		n.Ports[i] = defaultPort(p)
	}
	n.Placement.Mode = cmp.Or(n.Placement.Mode, v1alpha1.PlacementDivided)
	for i := range n.Placement.Tolerations {
		t := &n.Placement.Tolerations[i]
		t.Operator = cmp.Or(t.Operator, v1alpha1.TolerationEqual)
	}
	n.DependsOn = defaultDependencies(namespace, n.DependsOn)
	n.Address = nil // nothing in clusters hangs on it

	fields, err := fieldsOf(n)
	if err != nil {
		return nil, fmt.Errorf("encoding the spec of %s/%s: %w", namespace, name, err)
	}
	if template, ok := fields["template"].(map[string]any); ok {
		pruneTemplate(template)
	}
	return encode(fields), nil
}

// defaultDependencies fills in kind and namespace, sorts, and drops repetitions: their order has no meaning.
func defaultDependencies(namespace string, list []v1alpha1.Dependency) []v1alpha1.Dependency {
	for i := range list {
		list[i].Kind = cmp.Or(list[i].Kind, v1alpha1.DependencyApplication)
		list[i].Namespace = cmp.Or(list[i].Namespace, namespace)
	}
	slices.SortFunc(list, func(a, b v1alpha1.Dependency) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(list)
}

func defaultPort(p v1alpha1.Port) v1alpha1.Port {
	p.Protocol = defaultProtocol(p.Protocol)
	p.TargetPort = cmp.Or(p.TargetPort, p.Port)
	return p
}

func defaultProtocol(p corev1.Protocol) corev1.Protocol { return cmp.Or(p, corev1.ProtocolTCP) }
