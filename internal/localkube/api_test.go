package localkube_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/localkube"
)

func clientOf(t *testing.T, cfg *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{"k": name}}
}

func TestAPIServer(t *testing.T) {
	c := localkube.ForTest(t, localkube.Config{APIOnly: true, AuditLog: true})
	for name, test := range map[string]func(*testing.T, *localkube.Cluster){
		"keeps objects":                       testKeepsObjects,
		"audit log has every write once":      testAuditWrites,
		"Istio's CRDs are served":             testIstioCRDs,
		"users have the rights of their role": testUsers,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func testKeepsObjects(t *testing.T, c *localkube.Cluster) {
	maps := clientOf(t, c.RESTConfig()).CoreV1().ConfigMaps("default")

	if _, err := maps.Create(t.Context(), configMap("one"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := maps.Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Data["k"] != "one" {
		t.Errorf("read back %q, want one", got.Data["k"])
	}
}

func testAuditWrites(t *testing.T, c *localkube.Cluster) {
	maps := clientOf(t, c.RESTConfig()).CoreV1().ConfigMaps("default")
	before := auditWrites(t, c)

	created, err := maps.Create(t.Context(), configMap("twice"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Update(t.Context(), created, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), configMap("twice"), metav1.CreateOptions{}); err == nil {
		t.Fatal("created the same object twice")
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "twice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	var got []string
	writes := auditWrites(t, c)[len(before):]
	for _, w := range writes {
		got = append(got, fmt.Sprintf("%s %s %s/%s %s/%s %d", w.User, w.Verb, w.Group, w.Resource, w.Namespace, w.Name, w.Code))
	}
	want := []string{
		"admin create /configmaps default/twice 201",
		"admin create /configmaps default/twice 409",
		"admin delete /configmaps default/twice 200",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if left := writes.Without("configmaps"); len(left) > 0 {
		t.Errorf("without configmaps: %v", left)
	}
}

func auditWrites(t *testing.T, c *localkube.Cluster) localkube.Writes {
	t.Helper()
	writes, err := c.AuditWrites(localkube.AdminUser)
	if err != nil {
		t.Fatal(err)
	}
	return writes
}

func testIstioCRDs(t *testing.T, c *localkube.Cluster) {
	if err := c.InstallIstioCRDs(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	sidecar := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1",
		"kind":       "Sidecar",
		"metadata":   map[string]any{"name": "default", "namespace": "default"},
		"spec":       map[string]any{"egress": []any{map[string]any{"hosts": []any{"./*"}}}},
	}}
	sidecars := client.Resource(schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "sidecars"})
	if _, err := sidecars.Namespace("default").Create(t.Context(), sidecar, metav1.CreateOptions{}); err != nil {
		t.Errorf("a good Sidecar: %v", err)
	}
	unstructured.RemoveNestedField(sidecar.Object, "spec", "egress")
	_ = unstructured.SetNestedField(sidecar.Object, "nonsense", "spec", "egress")
	if _, err := sidecars.Namespace("default").Create(t.Context(), sidecar, metav1.CreateOptions{}); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Errorf("a bad Sidecar: %v, want it refused", err)
	}
}
