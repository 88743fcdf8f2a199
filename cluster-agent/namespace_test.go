package clusteragent

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/object"
)

// TestNamespaceRemoval removes namespaces that hold something else, and some that do not.
func TestNamespaceRemoval(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "namespaces")
	tests := map[string]struct {
		fill func(namespace string)
		// gone: it is deleted, or on its way.
		gone bool
	}{
		"nothing": {func(string) {}, true},
		"what every namespace has": {func(ns string) {
			a.create(idOf("", "ConfigMap", ns, "kube-root-ca.crt"), nil)
			a.create(idOf("", "ServiceAccount", ns, "default"), nil)
		}, true},
		"a child": {func(ns string) {
			a.create(idOf("", "ConfigMap", ns, "child"), fields{"metadata": fields{"ownerReferences": []any{fields{
				"apiVersion": "v1", "kind": "ConfigMap", "name": "parent", "uid": "1", "controller": true}}}})
		}, true},
		"a configmap": {func(ns string) { a.create(idOf("", "ConfigMap", ns, "theirs"), nil) }, false},
		"a sidecar":   {func(ns string) { a.create(idOf("networking.istio.io", "Sidecar", ns, "theirs"), nil) }, false},
		"a label of theirs": {func(ns string) {
			a.edit(namespaceRecord(t, ns).Key, func(u *unstructured.Unstructured) {
				labels := u.GetLabels()
				labels["team"] = "x"
				u.SetLabels(labels)
			})
		}, false},
	}
	n := 0
	for name, tt := range tests {
		n++
		ns := "removal-" + string(rune('a'+n))
		t.Run(name, func(t *testing.T) {
			r, cm := namespaceRecord(t, ns), configMap(t, ns, "ours", "1")
			z.put(r, cm)
			tt.fill(ns)
			z.remove(cm.Key, r.Key)
			u, err := a.get(r.Key)
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			if gone := err != nil || u.GetDeletionTimestamp() != nil; gone != tt.gone {
				t.Fatalf("deleted: %t, want %t", gone, tt.gone)
			}
			if tt.gone {
				return
			}
			id, _ := object.FromKey(r.Key)
			if s := look(id, u); s.label || s.self || !s.released {
				t.Errorf("the namespace that stays is seen as %+v, want it without marks and released", s)
			}
			z.put(r, cm)
			if reason := z.rejection(r.Key); reason != "" {
				t.Errorf("taking it back: rejected for %q", reason)
			}
			if s := look(id, a.mustGet(r.Key)); !s.ours() || s.released {
				t.Errorf("the namespace taken back is seen as %+v, want all marks", s)
			}
		})
	}
}

// TestContentsAreListed holds the agent's role against what a cluster serves: a kind that it may not list would keep every
// namespace from being deleted.
func TestContentsAreListed(t *testing.T) {
	k, err := newKube(agentConfig(t, shared))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := k.namespacedKinds()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		if _, err := k.meta.Resource(kind).Namespace("default").List(t.Context(), metav1.ListOptions{Limit: 1}); err != nil {
			t.Errorf("%s: %v; add it to the contents in deploy/agent/generate, and run make generate", kind.GroupResource(), err)
		}
	}
}

// TestAdoptedNamespaceStays shows that a namespace which Meridian did not make is never deleted.
func TestAdoptedNamespaceStays(t *testing.T) {
	cleanUp(t, shared)
	z := newZone(t)
	a := newAdmin(t, shared)
	startAgent(t, shared, z, "namespaces")
	a.create(idOf("", "Namespace", "", "theirs"), nil)
	plain := namespaceRecord(t, "theirs")
	z.put(plain)
	if got := z.rejection(plain.Key); got != reasonForeign {
		t.Errorf("rejected for %q, want %q", got, reasonForeign)
	}
	adopted := compiled(t, idOf("", "Namespace", "", "theirs"), "", nil, object.AnnotationAdopt)
	z.put(adopted)
	if got := z.rejection(plain.Key); got != "" {
		t.Errorf("rejected for %q, want it adopted", got)
	}
	z.remove(adopted.Key)
	if u := a.mustGet(adopted.Key); u.GetDeletionTimestamp() != nil {
		t.Error("the adopted namespace was deleted")
	}
}
