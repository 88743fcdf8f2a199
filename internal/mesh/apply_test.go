package mesh_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
)

// TestApply has a real API server, with Istio's CRDs, take the objects of every golden file: none is refused, Meridian
// owns what was sent and no more, and applying again writes nothing.
func TestApply(t *testing.T) {
	if testing.Short() {
		t.Skip("needs an API server")
	}
	cluster := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := cluster.InstallIstioCRDs(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, platform := range []string{"istio-system", "istio-gateways"} {
		apply(t, client, namespaceObject(t, platform))
	}
	for _, g := range goldens(t) {
		t.Run(g.name(), func(t *testing.T) {
			objects := g.compile(t)
			for _, o := range objects {
				if o.ID.Kind == "Namespace" {
					apply(t, client, o)
				}
			}
			for _, o := range objects {
				first := apply(t, client, o)
				ownsWhatWasSent(t, o, first)
				if o.ID.Kind == "PersistentVolumeClaim" {
					// The API server writes every claim once more when it is applied for the second time, and then no more.
					first = apply(t, client, o)
				}
				if again := apply(t, client, o); again.GetResourceVersion() != first.GetResourceVersion() {
					t.Errorf("%s: applied again, it was written again (-first +again):\n%s", o.ID.Short(), cmp.Diff(first.Object, again.Object))
				}
			}
		})
	}
}

func namespaceObject(t *testing.T, name string) mesh.Object {
	t.Helper()
	objects, err := mesh.Namespace(mesh.NamespaceInput{Namespace: name})
	if err != nil {
		t.Fatal(err)
	}
	return objects[0]
}

func apply(t *testing.T, client dynamic.Interface, o mesh.Object) *unstructured.Unstructured {
	t.Helper()
	for _, kind := range object.Kinds() {
		if kind.GroupVersionKind != o.ID.GVK() {
			continue
		}
		live, err := client.Resource(kind.GVR()).Namespace(o.ID.Namespace).Patch(t.Context(), o.ID.Name, types.ApplyPatchType,
			o.Record.Content, metav1.PatchOptions{FieldManager: object.FieldManager, FieldValidation: metav1.FieldValidationStrict})
		if err != nil {
			t.Fatalf("applying %s: %v", o.ID.Short(), err)
		}
		return live
	}
	t.Fatalf("%s is of no managed kind", o.ID)
	return nil
}

// ownsWhatWasSent compares the leaves of Meridian's field set with those of the object's JSON. Lists whose entries have
// keys are compared by the field names on the way alone.
func ownsWhatWasSent(t *testing.T, o mesh.Object, live *unstructured.Unstructured) {
	t.Helper()
	var sent map[string]any
	if err := json.Unmarshal(o.Record.Content, &sent); err != nil {
		t.Fatal(err)
	}
	for _, identity := range []string{"apiVersion", "kind"} {
		delete(sent, identity)
	}
	metadata := sent["metadata"].(map[string]any)
	delete(metadata, "name")
	delete(metadata, "namespace")
	want := map[string]bool{}
	leaves(o.ID.Kind, "", sent, want)

	for _, entry := range live.GetManagedFields() {
		if entry.Manager != object.FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		set.Leaves().Iterate(func(p fieldpath.Path) { got[fieldNames(p)] = true })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: fields owned (-sent +owned):\n%s", o.ID.Short(), diff)
		}
		return
	}
	t.Errorf("%s: Meridian owns nothing", o.ID.Short())
}

func fieldNames(p fieldpath.Path) string {
	var names []string
	for _, element := range p {
		if element.FieldName != nil {
			names = append(names, *element.FieldName)
		}
	}
	return strings.Join(names, ".")
}

// atomic are, by kind, the maps and lists that Kubernetes replaces whole.
var atomic = map[string][]string{
	"AuthorizationPolicy": {"spec.rules"},
	"CronJob":             {"spec.jobTemplate.spec.template.spec.containers.env.valueFrom.secretKeyRef"},
	"Deployment":          {"spec.selector", "spec.template.spec.containers.env.valueFrom.secretKeyRef"},
	"DestinationRule":     {"spec.trafficPolicy.portLevelSettings"},
	"Gateway":             {"spec.servers"},
	"NetworkPolicy":       {"spec.podSelector", "spec.ingress", "spec.egress"},
	"PodDisruptionBudget": {"spec.selector"},
	"Service":             {"spec.selector"},
	"ServiceEntry":        {"spec.endpoints"},
	"Sidecar":             {"spec.egress"},
}

// leaves collects paths to what has no fields below it. A list of scalars is one leaf, and so is what is atomic.
func leaves(kind, path string, v any, into map[string]bool) {
	whole := slices.Contains(atomic[kind], path)
	if m, ok := v.(map[string]any); ok && len(m) > 0 && !whole {
		for name, value := range m {
			leaves(kind, strings.TrimPrefix(path+"."+name, "."), value, into)
		}
		return
	}
	if list, ok := v.([]any); ok && len(list) > 0 && !whole {
		if _, objects := list[0].(map[string]any); objects {
			for _, value := range list {
				leaves(kind, path, value, into)
			}
			return
		}
	}
	into[path] = true
}
