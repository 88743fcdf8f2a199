package clusteragent

import (
	"context"
	"encoding/json"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

type fields = map[string]any

func idOf(group, kind, namespace, name string) object.ID {
	version := "v1"
	if kind == "HorizontalPodAutoscaler" {
		version = "v2"
	}
	return object.ID{Group: group, Version: version, Kind: kind, Namespace: namespace, Name: name}
}

// compiled makes a record as the compiler does: the version is the hash of the object without its annotation.
func compiled(t testing.TB, id object.ID, app string, body fields, annotations ...string) *record.Record {
	t.Helper()
	apiVersion, kind := id.GVK().ToAPIVersionAndKind()
	marks := fields{object.AnnotationSelf: id.String()}
	for _, a := range annotations {
		marks[a] = "true"
	}
	labels := fields{object.LabelManaged: object.ManagedValue}
	if app != "" {
		labels[object.LabelApplication] = app
	}
	meta := fields{"name": id.Name, "labels": labels, "annotations": marks}
	if id.Namespace != "" {
		meta["namespace"] = id.Namespace
	}
	obj := fields{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for k, v := range body {
		obj[k] = v
	}
	version := record.VersionOf(encode(t, obj))
	marks[object.AnnotationVersion] = version.String()
	return &record.Record{Key: id.Key(), Version: version, Content: encode(t, obj)}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func namespaceRecord(t testing.TB, name string) *record.Record {
	return compiled(t, idOf("", "Namespace", "", name), "", nil)
}

func configMap(t testing.TB, namespace, name, value string, annotations ...string) *record.Record {
	return compiled(t, idOf("", "ConfigMap", namespace, name), "app", fields{"data": fields{"key": value}}, annotations...)
}

func deployment(t testing.TB, namespace, name, image string, replicas int) *record.Record {
	labels := fields{"app": name}
	return compiled(t, idOf("apps", "Deployment", namespace, name), name, fields{"spec": fields{
		"replicas": replicas, "selector": fields{"matchLabels": labels},
		"template": fields{"metadata": fields{"labels": labels},
			"spec": fields{"containers": []any{fields{"name": "main", "image": image}}}},
	}})
}

// application is one object of every class.
func application(t testing.TB, namespace, name string) []*record.Record {
	return []*record.Record{
		deployment(t, namespace, name, "nginx:1", 1),
		compiled(t, idOf("networking.istio.io", "Sidecar", namespace, name), name,
			fields{"spec": fields{"egress": []any{fields{"hosts": []any{"./*"}}}}}),
		compiled(t, idOf("", "Service", namespace, name), name,
			fields{"spec": fields{"selector": fields{"app": name}, "ports": []any{fields{"name": "http", "port": 80}}}}),
		compiled(t, idOf("", "ConfigMap", namespace, name), name, fields{"data": fields{"key": "1"}}),
		compiled(t, idOf("", "ServiceAccount", namespace, name), name, nil),
		namespaceRecord(t, namespace),
	}
}

func keysOf(records []*record.Record) []record.Key {
	var keys []record.Key
	for _, r := range records {
		keys = append(keys, r.Key)
	}
	return keys
}

// admin is the cluster as its administrator has it.
type admin struct {
	t testing.TB
	dynamic.Interface
}

func newAdmin(t testing.TB, c *localkube.Cluster) admin {
	t.Helper()
	d, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return admin{t: t, Interface: d}
}

func (a admin) at(id object.ID) dynamic.ResourceInterface {
	for _, m := range object.Kinds() {
		if m.GroupVersionKind == id.GVK() {
			if m.Namespaced {
				return a.Resource(m.GVR()).Namespace(id.Namespace)
			}
			return a.Resource(m.GVR())
		}
	}
	a.t.Fatalf("no kind %s", id.GVK())
	return nil
}

func (a admin) get(key record.Key) (*unstructured.Unstructured, error) {
	id, err := object.FromKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.at(id).Get(a.t.Context(), id.Name, metav1.GetOptions{})
}

func (a admin) mustGet(key record.Key) *unstructured.Unstructured {
	a.t.Helper()
	u, err := a.get(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// edit changes an object as a person with kubectl edit does.
func (a admin) edit(key record.Key, change func(*unstructured.Unstructured)) {
	a.t.Helper()
	id, err := object.FromKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	u := a.mustGet(key)
	change(u)
	if _, err := a.at(id).Update(a.t.Context(), u, metav1.UpdateOptions{FieldManager: "kubectl-edit"}); err != nil {
		a.t.Fatal(err)
	}
}

func (a admin) create(id object.ID, body fields) *unstructured.Unstructured {
	a.t.Helper()
	apiVersion, kind := id.GVK().ToAPIVersionAndKind()
	meta, _ := body["metadata"].(fields)
	if meta == nil {
		meta = fields{}
	}
	meta["name"] = id.Name
	u := &unstructured.Unstructured{Object: fields{"apiVersion": apiVersion, "kind": kind, "metadata": meta}}
	for k, v := range body {
		if k != "metadata" {
			u.Object[k] = v
		}
	}
	made, err := a.at(id).Create(a.t.Context(), u, metav1.CreateOptions{FieldManager: "kubectl-create"})
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

func (a admin) delete(key record.Key) {
	a.t.Helper()
	id, err := object.FromKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.at(id).Delete(a.t.Context(), id.Name, metav1.DeleteOptions{}); err != nil {
		a.t.Fatal(err)
	}
}

// cleanUp takes the label that agents look for off every managed object, so that the next test begins with a cluster in which nothing is Meridian's.
func cleanUp(t testing.TB, c *localkube.Cluster) {
	t.Cleanup(func() {
		a := newAdmin(t, c)
		for _, m := range object.Kinds() {
			list, err := a.Resource(m.GVR()).List(context.Background(), metav1.ListOptions{LabelSelector: managedSelector})
			if err != nil {
				t.Errorf("cleaning up: %v", err)
				continue
			}
			for _, u := range list.Items {
				id := object.ID{Group: m.Group, Version: m.Version, Kind: m.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
				patch := []byte(`{"metadata":{"labels":{"` + object.LabelManaged + `":null}}}`)
				if _, err := a.at(id).Patch(context.Background(), id.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil && !apierrors.IsNotFound(err) {
					t.Errorf("cleaning up: %v", err)
				}
			}
		}
	})
}
