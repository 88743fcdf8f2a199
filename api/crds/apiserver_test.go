package crds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/samples"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// server is a real API server with the CRDs, and the namespace test.
type server struct {
	dynamic dynamic.Interface
	kube    kubernetes.Interface
}

// TestAPIServer asks a real API server what it makes of the definitions.
func TestAPIServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	t.Run("objects are accepted or refused", func(t *testing.T) { testValidation(t, s) })
	t.Run("addresses are accepted or refused", func(t *testing.T) { testAddresses(t, s) })
	t.Run("what is outside is accepted or refused", func(t *testing.T) { testExternal(t, s) })
	t.Run("what is immutable stays", func(t *testing.T) { testImmutable(t, s) })
	t.Run("status is bounded and apart", func(t *testing.T) { testStatus(t, s) })
	t.Run("defaults are filled in", func(t *testing.T) { testDefaults(t, s) })
	t.Run("samples apply", func(t *testing.T) { testSamples(t, s) })
	t.Run("columns are printed", func(t *testing.T) { testColumns(t, s) })
}

func startServer(t *testing.T) *server {
	t.Helper()
	cluster := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := cluster.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test"}}
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return &server{dynamic: dyn, kube: kube}
}

// client returns the client for u's own resource and namespace.
func (s *server) client(u *unstructured.Unstructured) dynamic.ResourceInterface {
	for _, r := range v1alpha1.Resources() {
		if r.Kind == u.GetKind() && u.GroupVersionKind().Group == v1alpha1.Group {
			if r.Namespaced {
				return s.dynamic.Resource(r.GroupVersionResource()).Namespace(u.GetNamespace())
			}
			return s.dynamic.Resource(r.GroupVersionResource())
		}
	}
	return s.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
}

// create makes u, strictly; dry has the server forget it.
func (s *server) create(ctx context.Context, u *unstructured.Unstructured, dry bool) (*unstructured.Unstructured, error) {
	opts := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
	if dry {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	return s.client(u).Create(ctx, u, opts)
}

// apply is a forceless server-side apply by the manager of that name.
func (s *server) apply(ctx context.Context, u *unstructured.Unstructured, manager string) (*unstructured.Unstructured, error) {
	return s.client(u).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: manager})
}

func object(t *testing.T, doc string) *unstructured.Unstructured {
	t.Helper()
	u := new(unstructured.Unstructured)
	if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	return u
}

func testDefaults(t *testing.T, s *server) {
	made, err := s.create(t.Context(), object(t, application("defaults", "ports: [{name: http, port: 80}]")), true)
	if err != nil {
		t.Fatal(err)
	}
	var app v1alpha1.Application
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(made.Object, &app); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%d %s %s", *app.Spec.Replicas, app.Spec.Placement.Mode, app.Spec.Ports[0].Protocol)
	if want := "1 Divided TCP"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	made, err = s.create(t.Context(), object(t, cluster("defaults", "")), true)
	if err != nil {
		t.Fatal(err)
	}
	var c v1alpha1.Cluster
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(made.Object, &c); err != nil {
		t.Fatal(err)
	}
	got = fmt.Sprintf("%s %t %s %v", c.Spec.Mesh.Dataplane, *c.Spec.Mesh.DefaultSidecar, c.Spec.Mesh.RootNamespace, c.Spec.Mesh.Gateway)
	if want := "Sidecar true istio-system <nil>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	defaulted(t, s, cluster("gateway", "mesh: {gateway: {addresses: [192.0.2.1]}}"), "map[istio:eastwestgateway]", "spec", "mesh", "gateway", "selector")
	defaulted(t, s, cluster("gateway", "mesh: {gateway: {addresses: [192.0.2.1]}}"), "istio-system", "spec", "mesh", "gateway", "namespace")
	defaulted(t, s, inventory("Environment", "defaults", "{}"), "cluster.local", "spec", "trustDomain")
	defaulted(t, s, accessPolicy("defaults", "{}"), "Allow", "spec", "sameNamespace")
	defaulted(t, s, pool(ten, ""), "20", "spec", "lowWaterPercent")
	defaulted(t, s, pool(ten, ""), "60", "spec", "highWaterPercent")
	defaulted(t, s, pool(ten, ""), "10m", "spec", "quarantine")
}

// defaulted holds what one field of an object is once it has been created.
func defaulted(t *testing.T, s *server, doc, want string, field ...string) {
	t.Helper()
	made, err := s.create(t.Context(), object(t, doc), true)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := unstructured.NestedFieldNoCopy(made.Object, field...)
	if got := fmt.Sprint(value); err != nil || got != want {
		t.Errorf("%s: got %s (%v), want %s", strings.Join(field, "."), got, err, want)
	}
}

// testSamples also holds that applying again writes nothing, and that a second
// manager can apply the same: defaults inside an atomic list would break both.
func testSamples(t *testing.T, s *server) {
	versions := map[string]string{}
	for _, manager := range []string{"first", "first", "second"} {
		for _, doc := range append(samples.Pools(), samples.Documents()...) {
			u := object(t, string(doc))
			key := u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()
			got, err := s.apply(t.Context(), u, manager)
			if err != nil {
				t.Errorf("%s by %s: %v", key, manager, err)
				continue
			}
			before, again := versions[key]
			if manager == "first" && again && got.GetResourceVersion() != before {
				t.Errorf("%s: applying it again wrote %s over %s", key, got.GetResourceVersion(), before)
			}
			if got.GetKind() == "Application" && got.GetGeneration() != 1 {
				t.Errorf("%s by %s: got generation %d, want 1", key, manager, got.GetGeneration())
			}
			versions[key] = got.GetResourceVersion()
		}
	}
}

func testColumns(t *testing.T, s *server) {
	u := object(t, application("columns", ""))
	if _, err := s.create(t.Context(), u, false); err != nil {
		t.Fatal(err)
	}
	u.Object["status"] = map[string]any{
		"revision": "0123456789", "address": "10.1.2.3", "summary": "5/6", "zoneCount": int64(3), "clusters": int64(4),
		"message":    "west-a-1: image not found",
		"conditions": []any{condition("Converged", "False", "Rejected")},
	}
	if _, err := s.applyStatus(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	policy := object(t, accessPolicy("columns", "{}"))
	if _, err := s.create(t.Context(), policy, false); err != nil {
		t.Fatal(err)
	}
	policy.Object["status"] = map[string]any{"applications": int64(7), "conditions": []any{condition("Accepted", "True", "Accepted")}}
	if _, err := s.applyStatus(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		resource string
		columns  []string
		cells    map[string]string
	}{
		{
			"application", "namespaces/test/applications",
			[]string{"Name", "Converged", "Ready", "Zones", "Address", "Revision", "Age", "Message"},
			map[string]string{"Name": "columns", "Address": "10.1.2.3", "Converged": "False", "Ready": "5/6", "Zones": "3", "Revision": "0123456789", "Message": "west-a-1: image not found"},
		},
		{
			"access policy", "namespaces/test/accesspolicies", []string{"Name", "Accepted", "Applications", "Age"},
			map[string]string{"Name": "columns", "Accepted": "True", "Applications": "7"},
		},
		{"cluster", "clusters", []string{"Name", "Zone", "Ready", "Nodes", "Applications", "Version", "Age"}, nil},
		{"zone", "zones", []string{"Name", "Region", "Ready", "Clusters", "Connected", "Age"}, nil},
		{"region", "regions", []string{"Name", "Ready", "Zones", "Connected", "Age"}, nil},
		{"network", "networks", []string{"Name", "Accepted", "Age"}, nil},
		{"pool", "ippools", []string{"Name", "Purpose", "Family", "Accepted", "Sufficient", "Addresses", "Taken", "Used", "Age"}, nil},
		{"claim", "namespaces/test/ipclaims", []string{"Name", "Allocated", "Prefix", "Pool", "Zone", "Reason", "Age"}, nil},
		{"environment", "environments", []string{"Name", "Accepted", "Trust-Domain", "Age"}, nil},
		{"tenant quota", "tenantquotas", []string{"Name", "Tenant", "Within", "Applications", "Replicas", "Consumers", "Addresses", "Refused", "Age"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := s.table(t, tc.resource)
			var columns []string
			for i, column := range table.ColumnDefinitions {
				if column.Priority != 0 {
					continue
				}
				columns = append(columns, column.Name)
				want, ok := tc.cells[column.Name]
				if got := fmt.Sprint(table.Rows[:min(1, len(table.Rows))]); ok && len(table.Rows) != 1 {
					t.Fatalf("got rows %s, want one", got)
				}
				if ok && fmt.Sprint(table.Rows[0].Cells[i]) != want {
					t.Errorf("%s: got %v, want %s", column.Name, table.Rows[0].Cells[i], want)
				}
			}
			if !slices.Equal(columns, tc.columns) {
				t.Errorf("got columns %v, want %v", columns, tc.columns)
			}
		})
	}
}

// table is what `kubectl get` prints.
func (s *server) table(t *testing.T, resource string) metav1.Table {
	t.Helper()
	raw, err := s.kube.CoreV1().RESTClient().Get().
		AbsPath("/apis/meridian.dev/v1alpha1/"+resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").
		DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	return table
}
