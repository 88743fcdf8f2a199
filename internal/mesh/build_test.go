package mesh_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// cartSpec is a plain application with one port; edits change it before it is returned.
func cartSpec(edits ...func(*v1alpha1.ApplicationSpec)) *v1alpha1.ApplicationSpec {
	spec := &v1alpha1.ApplicationSpec{
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "example.com/cart:1"}}},
		},
		Ports: []v1alpha1.Port{{Name: "http", Port: 80, TargetPort: 8080, AppProtocol: "http"}},
	}
	for _, edit := range edits {
		edit(spec)
	}
	return spec
}

func raw(format string, args ...any) runtime.RawExtension {
	return runtime.RawExtension{Raw: fmt.Appendf(nil, format, args...)}
}

func withResources(list ...runtime.RawExtension) func(*v1alpha1.ApplicationSpec) {
	return func(s *v1alpha1.ApplicationSpec) { s.Resources = append(s.Resources, list...) }
}

func meshed() record.Cluster {
	return record.Cluster{Name: "west-a-1", Mesh: record.Mesh{Dataplane: "Sidecar", DefaultSidecar: true, RootNamespace: "istio-system"}}
}

func bound(replicas int32, dependencies ...string) record.Binding {
	return record.Binding{Namespace: "shop", Application: "cart", Cluster: "west-a-1", Replicas: replicas,
		Generation: mesh.Generation, Dependencies: dependencies}
}

func compile(t testing.TB, in mesh.ApplicationInput) []mesh.Object {
	t.Helper()
	objects, err := mesh.Application(in)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func cart(t testing.TB, edits ...func(*v1alpha1.ApplicationSpec)) mesh.ApplicationInput {
	t.Helper()
	return mesh.ApplicationInput{Cluster: meshed(), Binding: bound(2, "shop/cache"), Spec: decode(t, "shop", "cart", cartSpec(edits...))}
}

func idsOf(objects []mesh.Object) []object.ID {
	var ids []object.ID
	for _, o := range objects {
		ids = append(ids, o.ID)
	}
	return ids
}

func kinds(objects []mesh.Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, o.ID.Kind)
	}
	return out
}

// find returns the only object of a kind.
func find(t testing.TB, objects []mesh.Object, kind string) mesh.Object {
	t.Helper()
	i := slices.IndexFunc(objects, func(o mesh.Object) bool { return o.ID.Kind == kind })
	if i < 0 {
		t.Fatalf("no %s among %v", kind, kinds(objects))
	}
	return objects[i]
}

// hostsOf reads the egress hosts of the only Sidecar.
func hostsOf(t testing.TB, objects []mesh.Object) []string {
	t.Helper()
	var sidecar struct {
		Spec struct {
			Egress []struct{ Hosts []string }
		}
	}
	if err := json.Unmarshal(find(t, objects, "Sidecar").Record.Content, &sidecar); err != nil {
		t.Fatal(err)
	}
	if len(sidecar.Spec.Egress) != 1 {
		t.Fatalf("the Sidecar has %d egress listeners, want 1", len(sidecar.Spec.Egress))
	}
	return sidecar.Spec.Egress[0].Hosts
}
