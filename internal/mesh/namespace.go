package mesh

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// NamespaceInput is all that a namespace's objects in one cluster are made of.
type NamespaceInput struct {
	Cluster     record.Cluster
	Namespace   string
	Environment string
	// Tenant may be empty.
	Tenant string
	// Strict has istiod refuse calls that are not by mutual TLS: for namespaces in the cluster whose istiod configures them.
	Strict bool
	// Adopt says that an application of the namespace in this cluster has adopt set.
	Adopt bool
}

// Namespace compiles the objects of a namespace in which a cluster runs or calls applications.
func Namespace(in NamespaceInput) ([]Object, error) {
	if !isLabel(in.Namespace) {
		return nil, fmt.Errorf("compiling namespace %q: not a DNS label", in.Namespace)
	}
	labels := make(map[string]string, 2)
	for label, value := range map[string]string{v1alpha1.LabelEnvironment: in.Environment, v1alpha1.LabelTenant: in.Tenant} {
		if len(validation.IsValidLabelValue(value)) > 0 {
			return nil, fmt.Errorf("compiling namespace %s: %q cannot be the value of label %s", in.Namespace, value, label)
		}
		if value != "" {
			labels[label] = value
		}
	}
	objects := []Object{draft{id: idOf("", "v1", "Namespace", "", in.Namespace), adopt: in.Adopt, labels: labels}.seal()}
	if in.Strict && inMesh(in.Cluster) {
		objects = append(objects, strict(in.Namespace))
	}
	return objects, nil
}

// strict is named as Istio has it for the whole of a namespace.
func strict(namespace string) Object {
	return draft{id: idOf(groupSecurity, "v1", "PeerAuthentication", namespace, "default"),
		spec: fields{{"mtls", fields{{"mode", "STRICT"}}}}}.seal()
}
