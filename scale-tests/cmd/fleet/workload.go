package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// application is one application: a Deployment of one replica, called at one port, in each cluster of its slice.
type application struct {
	name  string
	slice int
	// dependencies are names of other applications.
	dependencies []string
	// round is that of the last change that the hub was sent.
	round int
}

// workload makes n applications, PREFIX-00000 and so on, over the slices. Each depends on up to six others, drawn so that few
// are called by very many. There may be cycles.
func workload(prefix string, n, slices int, rng *rand.Rand) []*application {
	out := make([]*application, n)
	for i := range out {
		out[i] = &application{name: fmt.Sprintf("%s-%05d", prefix, i), slice: i % slices}
	}
	popular := rand.NewZipf(rng, 1.2, 8, uint64(n-1))
	for i, a := range out {
		for range rng.IntN(7) {
			if d := int(popular.Uint64()); d != i {
				a.depend(out[d].name)
			}
		}
	}
	return out
}

func (a *application) depend(name string) {
	if i, found := slices.BinarySearch(a.dependencies, name); !found {
		a.dependencies = slices.Insert(a.dependencies, i, name)
	}
}

func (a *application) image(round int) string {
	return fmt.Sprintf("registry.example.com/%s:%d", a.name, round)
}

// spec is the application at a round.
func (a *application) spec(round int) v1alpha1.ApplicationSpec {
	one := int32(1)
	spec := v1alpha1.ApplicationSpec{
		Replicas: &one,
		Ports:    []v1alpha1.Port{{Name: "http", Port: 8080, Protocol: corev1.ProtocolTCP, AppProtocol: "http"}},
		Placement: v1alpha1.Placement{Mode: v1alpha1.PlacementDuplicated,
			Clusters: &metav1.LabelSelector{MatchLabels: map[string]string{sliceLabel: fmt.Sprint(a.slice)}}},
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: a.image(round), Ports: []corev1.ContainerPort{{ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			Env: []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "REGION_AWARE", Value: "true"}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("500m"), corev1.ResourceMemory: quantity.MustParse("512Mi")},
				Limits:   corev1.ResourceList{corev1.ResourceMemory: quantity.MustParse("1Gi")}},
		}}}},
	}
	for _, d := range a.dependencies {
		spec.DependsOn = append(spec.DependsOn, v1alpha1.Dependency{Name: d})
	}
	return spec
}

// resource is the application for the hub.
func (a *application) resource(round int) (resource, error) {
	body, err := json.Marshal(v1alpha1.Application{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Application"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.name},
		Spec:       a.spec(round),
	})
	if err != nil {
		return resource{}, fmt.Errorf("encoding application %s: %w", a.name, err)
	}
	return resource{"applications", namespace, body}, nil
}

// objects are what the application comes to in a cluster.
func (a *application) objects(c cluster, round int) ([]mesh.Object, error) {
	spec := a.spec(round)
	normal, err := mesh.Normalise(namespace, a.name, &spec)
	if err != nil {
		return nil, err
	}
	compiled, err := mesh.Decode(record.Revision{Namespace: namespace, Application: a.name, Environment: environment, Spec: normal})
	if err != nil {
		return nil, err
	}
	binding := record.Binding{Namespace: namespace, Application: a.name, Cluster: c.name, Replicas: 1, Generation: mesh.Generation}
	for _, d := range a.dependencies {
		binding.Dependencies = append(binding.Dependencies, record.ServiceName(namespace, d))
	}
	return mesh.Application(mesh.ApplicationInput{Cluster: c.compiled(), Spec: compiled, Binding: binding})
}

// ground is what a cluster has beside its applications: the Sidecar of the mesh's root namespace and, if it is used, the
// applications' Namespace.
func (c cluster) ground(used bool) ([]mesh.Object, error) {
	objects, err := mesh.Root(c.compiled())
	if err != nil || !used {
		return objects, err
	}
	space, err := mesh.Namespace(mesh.NamespaceInput{Cluster: c.compiled(), Namespace: namespace, Environment: environment})
	return append(objects, space...), err
}
