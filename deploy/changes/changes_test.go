package changes_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/changes"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
)

var applications = v1alpha1.GroupVersion.WithResource("applications")

// people may do anything: the policies are all that holds them.
var people = []string{"anna", "ben"}

// server is an API server with the policies in force.
type server struct {
	root    dynamic.Interface
	clients map[string]dynamic.Interface
}

func startServer(t *testing.T) *server {
	t.Helper()
	cfg := localkube.Config{APIOnly: true}
	for _, name := range people {
		cfg.Users = append(cfg.Users, localkube.User{Name: name, Token: name + "-token", Groups: []string{"system:masters"}})
	}
	kube := localkube.ForTest(t, cfg)
	s := &server{client(t, kube.RESTConfig()), map[string]dynamic.Interface{}}
	for _, name := range people {
		own := rest.AnonymousClientConfig(kube.RESTConfig())
		own.BearerToken = name + "-token"
		s.clients[name] = client(t, own)
	}
	if err := kube.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	if err := local.Apply(t.Context(), kube.RESTConfig(), changes.Policies()); err != nil {
		t.Fatal(err)
	}
	// Policies are in force a moment after they are written, the second perhaps before the first.
	until(t, "the annotation is written", func(ctx context.Context) (bool, error) {
		u, err := s.clients["anna"].Resource(applications).Namespace("default").Create(ctx, application("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && u.GetAnnotations()[v1alpha1.AnnotationChangedBy] == "anna", nil
	})
	return s
}

func client(t *testing.T, cfg *rest.Config) dynamic.Interface {
	t.Helper()
	c, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func until(t *testing.T, what string, done wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, done); err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

func application(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	text := fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: Application, metadata: {name: %s, namespace: default},
		spec: {template: {spec: {containers: [{name: main, image: "web:1"}]}}}}`, name)
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		panic(err)
	}
	return u
}

func (s *server) of(who string) dynamic.ResourceInterface {
	return s.clients[who].Resource(applications).Namespace("default")
}

func wantBy(t *testing.T, u *unstructured.Unstructured, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got := u.GetAnnotations()[v1alpha1.AnnotationChangedBy]; got != want {
		t.Errorf("changed by %q, want %q", got, want)
	}
}

func TestChangedBy(t *testing.T) {
	s := startServer(t)
	t.Run("a spec's change and nothing else", func(t *testing.T) { testChange(t, s) })
	t.Run("a name of somebody else's", func(t *testing.T) { testForged(t, s) })
	t.Run("applied again", func(t *testing.T) { testAgain(t, s) })
	t.Run("a large spec", func(t *testing.T) { testLarge(t, s) })
	t.Run("a kind without a spec", func(t *testing.T) {
		region := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "meridian.dev/v1alpha1", "kind": "Region", "metadata": map[string]any{"name": "west"}}}
		regions := v1alpha1.GroupVersion.WithResource("regions")
		u, err := s.clients["anna"].Resource(regions).Create(t.Context(), region, metav1.CreateOptions{})
		wantBy(t, u, err, "anna")
		u, err = s.clients["ben"].Resource(regions).Patch(t.Context(), "west", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
		wantBy(t, u, err, "anna")
	})
	t.Run("without the first policy", func(t *testing.T) { testAlone(t, s) })
}

func testChange(t *testing.T, s *server) {
	u, err := s.of("anna").Create(t.Context(), application("change"), metav1.CreateOptions{})
	wantBy(t, u, err, "anna")
	patch := func(who, body, subresource string) (*unstructured.Unstructured, error) {
		var sub []string
		if subresource != "" {
			sub = append(sub, subresource)
		}
		return s.of(who).Patch(t.Context(), "change", types.MergePatchType, []byte(body), metav1.PatchOptions{}, sub...)
	}
	u, err = patch("ben", `{"metadata":{"labels":{"team":"b"},"annotations":{"note":"b"}}}`, "")
	wantBy(t, u, err, "anna")
	u, err = patch("ben", `{"status":{"summary":"1/1"}}`, "status")
	wantBy(t, u, err, "anna")
	u, err = patch("ben", `{"spec":{"replicas":2}}`, "")
	wantBy(t, u, err, "ben")
	u, err = patch("anna", `{"spec":{"replicas":2}}`, "")
	wantBy(t, u, err, "ben")
	u, err = patch("anna", `{"metadata":{"annotations":null}}`, "")
	wantBy(t, u, err, "ben")
}

// testForged has somebody write another's name; what is stored is the truth.
func testForged(t *testing.T, s *server) {
	forged := application("forged")
	forged.SetAnnotations(map[string]string{v1alpha1.AnnotationChangedBy: "ben", "note": "kept"})
	u, err := s.of("anna").Create(t.Context(), forged, metav1.CreateOptions{})
	wantBy(t, u, err, "anna")
	if u.GetAnnotations()["note"] != "kept" {
		t.Errorf("annotations are %v", u.GetAnnotations())
	}
	u, err = s.of("anna").Patch(t.Context(), "forged", types.MergePatchType, []byte(`{"metadata":{"annotations":{"meridian.dev/changed-by":"ben"}}}`), metav1.PatchOptions{})
	wantBy(t, u, err, "anna")
	u, err = s.of("anna").Patch(t.Context(), "forged", types.MergePatchType, []byte(`{"spec":{"replicas":5},"metadata":{"annotations":{"meridian.dev/changed-by":"ben"}}}`), metav1.PatchOptions{})
	wantBy(t, u, err, "anna")
}

// testAgain applies the same manifest twice, and then with the annotation that was read: neither writes anything.
func testAgain(t *testing.T, s *server) {
	opts := metav1.ApplyOptions{FieldManager: "test"}
	first, err := s.of("anna").Apply(t.Context(), "again", application("again"), opts)
	wantBy(t, first, err, "anna")
	again, err := s.of("anna").Apply(t.Context(), "again", application("again"), opts)
	wantBy(t, again, err, "anna")
	if again.GetResourceVersion() != first.GetResourceVersion() {
		t.Errorf("applying it again wrote %s over %s", again.GetResourceVersion(), first.GetResourceVersion())
	}
	u, err := s.of("ben").Apply(t.Context(), "again", application("again"), metav1.ApplyOptions{FieldManager: "other"})
	wantBy(t, u, err, "anna")
}

// testLarge has the policies compare a spec of about the size that Global takes at most.
func testLarge(t *testing.T, s *server) {
	large := application("large")
	var resources []any
	for i := range 60 {
		data := map[string]any{}
		for j := range 40 {
			data[fmt.Sprintf("key-%d", j)] = strings.Repeat("x", 100)
		}
		resources = append(resources, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprintf("cm-%d", i)}, "data": data})
	}
	if err := unstructured.SetNestedSlice(large.Object, resources, "spec", "resources"); err != nil {
		t.Fatal(err)
	}
	u, err := s.of("anna").Create(t.Context(), large, metav1.CreateOptions{})
	wantBy(t, u, err, "anna")
	u, err = s.of("ben").Patch(t.Context(), "large", types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/resources/59/data/key-39","value":"y"}]`), metav1.PatchOptions{})
	wantBy(t, u, err, "ben")
}

// testAlone takes the binding of the policy that writes away: the other refuses all that it would have written.
func testAlone(t *testing.T, s *server) {
	bindings := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingadmissionpolicybindings"}
	if err := s.root.Resource(bindings).Delete(t.Context(), "meridian-changed-by", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	forged := application("alone")
	forged.SetAnnotations(map[string]string{v1alpha1.AnnotationChangedBy: "ben"})
	var refused error
	until(t, "the binding is gone", func(ctx context.Context) (bool, error) {
		_, refused = s.of("anna").Create(ctx, forged, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return refused != nil, nil
	})
	want := `meridian.dev/changed-by says who last changed the spec, which is "anna"; the API server writes it, leave it as it is`
	if !apierrors.IsInvalid(refused) || !strings.Contains(refused.Error(), want) {
		t.Errorf("%v, want invalid with %q", refused, want)
	}
	if _, err := s.of("anna").Patch(t.Context(), "change", types.MergePatchType, []byte(`{"metadata":{"annotations":{"meridian.dev/changed-by":null}}}`), metav1.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("removed by hand: %v, want it refused", err)
	}
}

// TestPrepareHub holds that a hub which is prepared notes who changes a spec, from the first change on.
func TestPrepareHub(t *testing.T) {
	kube := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := local.PrepareHub(t.Context(), kube); err != nil {
		t.Fatal(err)
	}
	u, err := client(t, kube.RESTConfig()).Resource(applications).Namespace("default").Create(t.Context(), application("first"), metav1.CreateOptions{})
	wantBy(t, u, err, localkube.AdminUser)
}
