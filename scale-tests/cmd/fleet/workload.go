package main

import (
	"encoding/json"
	"fmt"
	"maps"
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
	// called: some other depends on it.
	called bool
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
				out[d].called = true
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

// objects are what the application itself comes to in a cluster.
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
	var services []record.Service
	for _, d := range a.dependencies {
		binding.Dependencies = append(binding.Dependencies, record.ServiceName(namespace, d))
		services = append(services, service(d))
	}
	policy := record.Policy{Namespace: namespace, Application: a.name, Environment: environment, TrustDomain: "cluster.local"}
	in := mesh.WorkloadInput{Cluster: c.compiled(), Binding: binding, Spec: compiled, Policy: policy, Services: services}
	if a.called {
		// All clusters are on one network, each with an istiod of its own, so the pods' addresses are asked for.
		in.Audience, in.Locate = audience(a.name), mesh.LocateAddresses
	}
	workload, err := mesh.Workload(in)
	if err != nil {
		return nil, err
	}
	config, err := mesh.Config(mesh.ConfigInput{Cluster: in.Cluster, Spec: compiled, Generation: mesh.Generation,
		Dependencies: binding.Dependencies, Services: services, Policy: policy})
	return append(workload, config...), err
}

// service is the callable face of an application.
func service(name string) record.Service {
	return record.Service{Namespace: namespace, Application: name, Environment: environment, ServiceAccount: name,
		Ports: []record.Port{{Name: "http", Port: 8080, TargetPort: 8080, Protocol: "TCP", AppProtocol: "http"}}}
}

// audience is who depends on an application: all are of one namespace and on one network.
func audience(name string) record.Audience {
	return record.Audience{Namespace: namespace, Application: name, Namespaces: []string{namespace}, Networks: []string{network}}
}

// ground is what a cluster has beside the applications that run there, given all applications: the Sidecar of the mesh's
// root namespace and, if it is used, the applications' Namespace, and how those are called that are depended on there.
func (c cluster) ground(apps []*application) ([]mesh.Object, error) {
	objects, err := mesh.Root(c.compiled())
	if err != nil {
		return nil, err
	}
	runs, calls := map[string]bool{}, map[string]bool{}
	for _, a := range apps {
		if a.slice != c.slice {
			continue
		}
		runs[a.name] = true
		for _, d := range a.dependencies {
			calls[d] = true
		}
	}
	if len(runs) == 0 {
		return objects, nil
	}
	space, err := mesh.Namespace(mesh.NamespaceInput{Cluster: c.compiled(), Namespace: namespace, Environment: environment, Strict: true})
	if err != nil {
		return nil, err
	}
	objects = append(objects, space...)
	for _, d := range slices.Sorted(maps.Keys(calls)) {
		callee, _, err := mesh.Callee(mesh.CalleeInput{Cluster: c.compiled(), Service: service(d), Audience: audience(d)})
		if err != nil {
			return nil, err
		}
		objects = append(objects, callee...)
		if runs[d] {
			continue
		}
		stub, err := mesh.Stub(mesh.StubInput{Cluster: c.compiled(), Service: service(d), Audience: audience(d)})
		if err != nil {
			return nil, err
		}
		objects = append(objects, stub...)
	}
	return objects, nil
}
