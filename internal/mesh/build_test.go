package mesh_test

import (
	"cmp"
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

// input is what the objects of one application are made of.
type input struct {
	mesh.WorkloadInput
	// primary is the cluster whose istiod looks after the application's cluster.
	primary record.Cluster
	callees []calleeInput
	// exported applications of the primary's gateway.
	exported []string
}

// calleeInput is one application that the input's calls.
type calleeInput struct {
	Service  record.Service
	Audience record.Audience
	Sites    []site
	// Here: it runs in the cluster too.
	Here bool
}

// compile returns the objects in the order of application, without those of the namespaces.
func (in *input) compile(t testing.TB) []mesh.Object {
	t.Helper()
	objects, err := in.try()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func (in *input) try() ([]mesh.Object, error) {
	objects, err := mesh.Workload(in.WorkloadInput)
	if err != nil {
		return nil, err
	}
	config, err := mesh.Config(in.config())
	if err != nil {
		return nil, err
	}
	return inOrder(append(objects, config...)), nil
}

func (in *input) config() mesh.ConfigInput {
	primary := in.primary
	if primary.Name == "" {
		primary = in.Cluster
	}
	return mesh.ConfigInput{Cluster: primary, Spec: in.Spec, Generation: in.Binding.Generation,
		Dependencies: in.Binding.Dependencies, Services: in.Services, Policy: in.Policy}
}

// inOrder sorts objects by class, then by name.
func inOrder(objects []mesh.Object) []mesh.Object {
	slices.SortFunc(objects, func(a, b mesh.Object) int {
		return cmp.Or(cmp.Compare(object.ClassOf(a.ID.Group, a.ID.Kind), object.ClassOf(b.ID.Group, b.ID.Kind)),
			cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return objects
}

func cart(t testing.TB, edits ...func(*v1alpha1.ApplicationSpec)) *input {
	t.Helper()
	return inputOf(meshed(), bound(2, "shop/cache"), decode(t, "shop", "cart", cartSpec(edits...)))
}

func inputOf(cluster record.Cluster, b record.Binding, spec *mesh.Spec) *input {
	return &input{WorkloadInput: mesh.WorkloadInput{Cluster: cluster, Binding: b, Spec: spec, Policy: open(b.Namespace, b.Application)}}
}

// open is the policy of an application of which no AccessPolicy speaks.
func open(namespace, application string) record.Policy {
	return record.Policy{Namespace: namespace, Application: application, Environment: "prod", TrustDomain: "prod.example"}
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

func tcpPort(name string, number int32) record.Port {
	return record.Port{Name: name, Port: number, TargetPort: number, Protocol: "TCP"}
}
