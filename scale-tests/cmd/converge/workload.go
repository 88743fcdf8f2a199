package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/scale-tests/internal/arrival"
	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
)

// namespace holds all applications.
const namespace = "load"

// app is one application with one Deployment, at one image, in every cluster.
type app struct {
	name string
	// manifest is the resource, for the hub. objects are what it comes to in a cluster, in the order of application.
	manifest []byte
	objects  []mesh.Object
}

// image is that of an application's version.
func image(version int) string { return fmt.Sprintf("registry.k8s.io/pause:3.%d", version) }

// apps makes n applications, PREFIX-0 and so on.
func apps(prefix string, n, version int) ([]app, error) {
	out := make([]app, n)
	for i := range out {
		var err error
		if out[i], err = newApp(fmt.Sprintf("%s-%d", prefix, i), version); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func newApp(name string, version int) (app, error) {
	one := int32(1)
	resourceOf := v1alpha1.Application{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Application"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ApplicationSpec{
			Replicas:  &one,
			Placement: v1alpha1.Placement{Mode: v1alpha1.PlacementDuplicated},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "main", Image: image(version),
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}},
			}}}},
		},
	}
	manifest, err := json.Marshal(&resourceOf)
	if err != nil {
		return app{}, fmt.Errorf("encoding application %s: %w", name, err)
	}
	spec, err := mesh.Normalise(namespace, name, &resourceOf.Spec)
	if err != nil {
		return app{}, err
	}
	compiled, err := mesh.Decode(record.Revision{Namespace: namespace, Application: name, Environment: fleet.Environment, Spec: spec})
	if err != nil {
		return app{}, err
	}
	objects, err := objectsOf(name, compiled)
	return app{name: name, manifest: manifest, objects: objects}, err
}

// objectsOf are what an application that nobody else calls comes to in a cluster, in the order of application.
func objectsOf(name string, spec *mesh.Spec) ([]mesh.Object, error) {
	policy := record.Policy{Namespace: namespace, Application: name, Environment: fleet.Environment, TrustDomain: "cluster.local"}
	objects, err := mesh.Workload(mesh.WorkloadInput{Cluster: cluster, Spec: spec, Policy: policy, Binding: record.Binding{
		Namespace: namespace, Application: name, Replicas: 1, Generation: mesh.Generation}})
	if err != nil {
		return nil, err
	}
	config, err := mesh.Config(mesh.ConfigInput{Cluster: cluster, Spec: spec, Policy: policy, Generation: mesh.Generation})
	if err != nil {
		return nil, err
	}
	objects = append(objects, config...)
	slices.SortStableFunc(objects, func(a, b mesh.Object) int {
		return cmp.Compare(object.ClassOf(a.ID.Group, a.ID.Kind), object.ClassOf(b.ID.Group, b.ID.Kind))
	})
	return objects, nil
}

// cluster is a member as the compiler sees it, with the defaults of the resource.
var cluster = record.Cluster{Mesh: record.Mesh{Dataplane: string(v1alpha1.DataplaneSidecar), DefaultSidecar: true,
	RootNamespace: "istio-system"}}

// namespaceObject is the applications' namespace in a cluster.
func namespaceObject() (mesh.Object, error) {
	objects, err := mesh.Namespace(mesh.NamespaceInput{Cluster: cluster, Namespace: namespace, Environment: fleet.Environment})
	if err != nil {
		return mesh.Object{}, err
	}
	return objects[0], nil
}

// namespaceManifest is the applications' namespace at the hub.
var namespaceManifest = fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n  labels: {%s: %s}\n",
	namespace, v1alpha1.LabelEnvironment, fleet.Environment)

// present are the goals that every cluster has the objects of applications, exactly as compiled; gone, that it has none.
func present(list []app) []arrival.Goal {
	return goals(list, func(o mesh.Object) string { return o.Record.Version.String() })
}

func gone(list []app) []arrival.Goal {
	return goals(list, func(mesh.Object) string { return arrival.Gone })
}

func goals(list []app, version func(mesh.Object) string) []arrival.Goal {
	out := make([]arrival.Goal, len(list))
	for i, a := range list {
		out[i] = arrival.Goal{Name: a.name, Versions: map[object.ID]string{}}
		for _, o := range a.objects {
			out[i].Versions[o.ID] = version(o)
		}
	}
	return out
}

// kinds are those of the applications' objects.
func kinds(a app) []object.Managed {
	wanted := map[string]bool{}
	for _, o := range a.objects {
		wanted[o.ID.Kind] = true
	}
	var out []object.Managed
	for _, m := range object.Kinds() {
		if wanted[m.Kind] {
			out = append(out, m)
		}
	}
	return out
}
