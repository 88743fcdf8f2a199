package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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
	"github.com/meridian-federation/meridian/deploy/audit"
	"github.com/meridian-federation/meridian/internal/localkube"
)

const (
	anna      = "anna"
	globalOwn = "meridian-global" // whose statuses are left out
)

// secret is what no entry may show.
const secret = "hunter2"

var (
	applications = v1alpha1.GroupVersion.WithResource("applications")
	policies     = v1alpha1.GroupVersion.WithResource("accesspolicies")
	namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets      = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	roles        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
)

// server is an API server that records by the policy.
type server struct {
	file    string
	clients map[string]dynamic.Interface
}

func startServer(t *testing.T) *server {
	t.Helper()
	cfg := localkube.Config{APIOnly: true, Dir: t.TempDir(), AuditPolicy: audit.Policy()}
	for _, name := range []string{anna, globalOwn} {
		cfg.Users = append(cfg.Users, localkube.User{Name: name, Token: name + "-token", Groups: []string{"system:masters"}})
	}
	kube := localkube.ForTest(t, cfg)
	s := &server{cfg.AuditFile(), map[string]dynamic.Interface{}}
	for _, user := range cfg.Users {
		own := rest.AnonymousClientConfig(kube.RESTConfig())
		own.BearerToken = user.Token
		client, err := dynamic.NewForConfig(own)
		if err != nil {
			t.Fatal(err)
		}
		s.clients[user.Name] = client
	}
	if err := kube.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	return s
}

// entry is what the test reads of an event.
type entry struct {
	Level, Stage, Verb, RequestURI string
	User                           struct{ Username string }
	ObjectRef                      struct{ Resource, Subresource, Namespace, Name string }
	ResponseStatus                 struct{ Code int }
	RequestObject, ResponseObject  json.RawMessage
}

func (e entry) String() string {
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	return fmt.Sprintf("%s: %s %s %s/%s %d", e.User.Username, e.Verb, resource, e.ObjectRef.Namespace, e.ObjectRef.Name, e.ResponseStatus.Code)
}

// entries are those of the people of the test, until one of the last of their writes is there.
func (s *server) entries(t *testing.T, last string) (out []entry, raw []byte) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		content, err := os.ReadFile(s.file)
		if err != nil {
			return false, err
		}
		raw, out = content[:bytes.LastIndexByte(content, '\n')+1], nil
		lines := bufio.NewScanner(bytes.NewReader(raw))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e entry
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return false, fmt.Errorf("reading %q: %w", lines.Text(), err)
			}
			// A client tries again where a server that has just met a resource says that it is too early.
			if s.clients[e.User.Username] != nil && e.ResponseStatus.Code != http.StatusTooManyRequests {
				out = append(out, e)
			}
		}
		return slices.ContainsFunc(out, func(e entry) bool { return e.String() == last }), lines.Err()
	})
	if err != nil {
		t.Fatalf("waiting for the entry %q, with %v: %v", last, out, err)
	}
	return out, raw
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestPolicy writes all kinds of things at a real API server, and reads what it has recorded of them.
func TestPolicy(t *testing.T) {
	s := startServer(t)
	in := func(user string, r schema.GroupVersionResource) dynamic.ResourceInterface {
		return s.clients[user].Resource(r).Namespace("shop")
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func(to dynamic.ResourceInterface, text string) {
		t.Helper()
		must(to.Create(t.Context(), object(t, text), metav1.CreateOptions{}))
	}
	app := func(name string) string {
		return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: Application, metadata: {name: %s},
			spec: {template: {spec: {containers: [{name: main, image: "web:1", env: [{name: PASSWORD, value: %s}]}]}}}}`, name, secret)
	}
	ready := []byte(`{"status":{"summary":"1/1"}}`)

	create(s.clients[anna].Resource(namespaces), `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`)
	create(s.clients[anna].Resource(namespaces), `{apiVersion: v1, kind: Namespace, metadata: {name: meridian-system}}`)
	create(in(anna, applications), app("web"))
	must(in(anna, applications).Get(t.Context(), "web", metav1.GetOptions{}))
	must(in(globalOwn, applications).Patch(t.Context(), "web", types.MergePatchType, ready, metav1.PatchOptions{}, "status"))
	must(in(anna, applications).Patch(t.Context(), "web", types.MergePatchType, ready, metav1.PatchOptions{}, "status"))
	create(in(anna, secrets), fmt.Sprintf(`{apiVersion: v1, kind: Secret, metadata: {name: key}, stringData: {key: %s}}`, secret))
	create(in(anna, configMaps), `{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}`)
	create(s.clients[globalOwn].Resource(configMaps).Namespace("meridian-system"), `{apiVersion: v1, kind: ConfigMap, metadata: {name: meridian-hub}}`)
	create(in(anna, roles), `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: more}}`)
	must(nil, in(anna, applications).Delete(t.Context(), "web", metav1.DeleteOptions{}))
	create(in(anna, applications), app("cart"))
	must(nil, in(globalOwn, applications).Delete(t.Context(), "cart", metav1.DeleteOptions{}))
	must(nil, in(anna, policies).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "old=yes"}))
	must(nil, s.clients[anna].Resource(namespaces).Delete(t.Context(), "shop", metav1.DeleteOptions{}))

	entries, raw := s.entries(t, "anna: delete namespaces shop/shop 200")
	var got []string
	for _, e := range entries {
		got = append(got, e.String())
		if e.Level != "Metadata" || e.RequestObject != nil || e.ResponseObject != nil {
			t.Errorf("%s: recorded as %s, with content: %t", e, e.Level, e.RequestObject != nil || e.ResponseObject != nil)
		}
		if e.Verb == "deletecollection" && !strings.Contains(e.RequestURI, "old%3Dyes") {
			t.Errorf("%s: got URI %s, want the selector in it", e, e.RequestURI)
		}
	}
	want := []string{
		"anna: create namespaces /shop 201",
		"anna: create namespaces /meridian-system 201",
		"anna: create applications shop/web 201",
		"anna: patch applications/status shop/web 200",
		"meridian-global: create configmaps meridian-system/meridian-hub 201",
		"anna: create roles shop/more 201",
		"anna: delete applications shop/web 200",
		"anna: create applications shop/cart 201",
		"meridian-global: delete applications shop/cart 200",
		"anna: deletecollection accesspolicies shop/ 200",
		"anna: delete namespaces shop/shop 200",
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded:\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	if bytes.Contains(raw, []byte(secret)) {
		t.Error("what is in an object was recorded")
	}
}
