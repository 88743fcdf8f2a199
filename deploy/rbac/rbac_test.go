package rbac_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/rbac"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// The people: each with the role of its name, alice and victor in namespace shop alone; edgar has Kubernetes' own role
// edit there, and walter its view. Mallory has none.
const (
	platform = "paula"
	admin    = "alice"
	viewer   = "victor"
	editor   = "edgar"
	watcher  = "walter"
	stranger = "mallory"
)

// world is an API server with the resources, the roles and the people.
type world struct {
	kube    *localkube.Cluster
	clients map[string]*rest.Config
}

func startWorld(t *testing.T) *world {
	t.Helper()
	people := []string{platform, admin, viewer, editor, watcher, stranger}
	cfg := localkube.Config{NoWorkloads: true}
	for _, name := range people {
		cfg.Users = append(cfg.Users, localkube.User{Name: name, Token: name + "-token"})
	}
	w := &world{localkube.ForTest(t, cfg), map[string]*rest.Config{}}
	for _, name := range people {
		c := rest.AnonymousClientConfig(w.kube.RESTConfig())
		c.BearerToken, c.QPS = name+"-token", -1
		w.clients[name] = c
	}
	if err := w.kube.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	if err := local.Apply(t.Context(), w.kube.RESTConfig(), rbac.Roles()); err != nil {
		t.Fatal(err)
	}
	w.bind(t)
	return w
}

// bind gives the people their roles: paula hers, and she then gives the tenants theirs.
func (w *world) bind(t *testing.T) {
	t.Helper()
	root := w.client(t, "")
	_, err := root.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "platform"}, RoleRef: refTo(rbac.PlatformAdmin), Subjects: []rbacv1.Subject{person(platform)}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.until(t, platform, "create", "namespaces", "")
	for _, name := range []string{"shop", "bank"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelTenant: name}}}
		if _, err := w.client(t, platform).CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for who, role := range map[string]string{admin: rbac.TenantAdmin, viewer: rbac.TenantViewer} {
		if err := bindIn(t, w.client(t, platform), role, who); err != nil {
			t.Fatalf("a platform admin binds %s: %v", role, err)
		}
	}
	for who, role := range map[string]string{editor: "edit", watcher: "view"} {
		if err := bindIn(t, root, role, who); err != nil {
			t.Fatal(err)
		}
	}
	w.until(t, admin, "create", "applications", "shop")
	w.until(t, viewer, "get", "applications", "shop")
	w.until(t, editor, "create", "applications", "shop")
	w.until(t, watcher, "get", "applications", "shop")
}

func bindIn(t *testing.T, client kubernetes.Interface, role, who string) error {
	_, err := client.RbacV1().RoleBindings("shop").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: who}, RoleRef: refTo(role), Subjects: []rbacv1.Subject{person(who)}}, metav1.CreateOptions{})
	return err
}

func refTo(role string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
}

func person(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// client is who's own, the administrator's for "".
func (w *world) client(t *testing.T, who string) kubernetes.Interface {
	t.Helper()
	cfg := w.clients[who]
	if who == "" {
		cfg = w.kube.RESTConfig()
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// until waits for the authorizer, which learns of roles by a watch, a moment later.
func (w *world) until(t *testing.T, who, verb, resource, namespace string) {
	t.Helper()
	client := w.client(t, who)
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		return may(ctx, client, verb, resource, namespace)
	})
	if err != nil {
		t.Fatalf("%s may not %s %s in %q: %v", who, verb, resource, namespace, err)
	}
}

// may asks the server, as the person, whether something is allowed: resource is RESOURCE[/SUBRESOURCE][.GROUP][:NAME], of
// meridian.dev without a group, of the core where the group is "core".
func may(ctx context.Context, client kubernetes.Interface, verb, resource, namespace string) (bool, error) {
	resource, name, _ := strings.Cut(resource, ":")
	resource, group, found := strings.Cut(resource, ".")
	switch {
	case !found && resource == "namespaces" || group == "core":
		group = ""
	case !found:
		group = v1alpha1.Group
	}
	resource, sub, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: group, Resource: resource, Subresource: sub, Name: name}}}
	out, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return out.Status.Allowed, nil
}

const (
	look  = "get list watch"
	write = "create update patch delete"
	all   = look + " " + write + " deletecollection"
)

// rights are those of a person, by resource: all others are to be denied.
type rights map[string]string

// TestRoles holds the roles on a real API server.
func TestRoles(t *testing.T) {
	w := startWorld(t)
	t.Run("rights", func(t *testing.T) { testRights(t, w) })
	t.Run("aggregation", func(t *testing.T) { testAggregation(t, w) })
	t.Run("requests", func(t *testing.T) { testRequests(t, w) })
}

// testRights asks for every verb on every resource, as each person, in a tenant's namespace, in another and in none.
func testRights(t *testing.T, w *world) {
	tests := []struct {
		who, namespace string
		want           rights
	}{
		{platform, "", rights{"environments": all, "networks": all, "regions": all, "zones": all, "clusters": all, "tenantquotas": all, "ippools": all, "ipclaims": all,
			"applications": all, "accesspolicies": all, "externalservices": all, "clusters/export": "get", "clusters/confirm": "update",
			"enrollmenttokens": "create list delete", "certificateauthorities": "get update", "namespaces": look + " " + write,
			"rolebindings.rbac.authorization.k8s.io":                      look + " " + write,
			"clusterroles.rbac.authorization.k8s.io:" + rbac.TenantAdmin:  "get bind",
			"clusterroles.rbac.authorization.k8s.io:" + rbac.TenantViewer: "get bind"}},
		{admin, "shop", rights{"applications": all, "accesspolicies": all, "externalservices": all, "ipclaims": all, "namespaces": "get"}},
		{admin, "bank", nil},
		{admin, "", nil},
		{viewer, "shop", rights{"applications": look, "accesspolicies": look, "externalservices": look, "ipclaims": look, "namespaces": "get"}},
		{viewer, "bank", nil},
		{viewer, "", nil},
		{stranger, "shop", nil},
		{stranger, "", nil},
		{admin, "meridian-system", rights{"configmaps.core:meridian-hub": "get"}},
		{stranger, "meridian-system", rights{"configmaps.core:meridian-hub": "get"}},
	}
	for _, tt := range tests {
		t.Run(tt.who+" in "+tt.namespace, func(t *testing.T) {
			client := w.client(t, tt.who)
			for _, resource := range resources() {
				for _, verb := range strings.Fields(all + " bind escalate impersonate") {
					got, err := may(t.Context(), client, verb, resource, tt.namespace)
					if err != nil {
						t.Fatal(err)
					}
					if want := slices.Contains(strings.Fields(tt.want[resource]), verb); got != want {
						t.Errorf("%s %s: allowed is %t, want %t", verb, resource, got, want)
					}
				}
			}
			for resource := range tt.want {
				if !slices.Contains(resources(), resource) {
					t.Errorf("%s is not asked about", resource)
				}
			}
		})
	}
}

// resources are all of ours, with what can be asked about and is no object, and those by which somebody could get more
// than a role gives.
func resources() []string {
	out := []string{"applications/status", "externalservices/status", "accesspolicies/status", "tenantquotas/status", "clusters/status",
		"clusters/export", "clusters/confirm", "enrollmenttokens", "certificateauthorities",
		"namespaces", "namespaces/finalize.core", "secrets.core", "configmaps.core", "configmaps.core:meridian-hub", "pods.core", "serviceaccounts.core",
		"serviceaccounts/token.core", "nodes.core", "users.core", "groups.core",
		"roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
		"clusterroles.rbac.authorization.k8s.io:cluster-admin", "clusterroles.rbac.authorization.k8s.io:" + rbac.PlatformAdmin,
		"clusterroles.rbac.authorization.k8s.io:" + rbac.TenantAdmin, "clusterroles.rbac.authorization.k8s.io:" + rbac.TenantViewer,
		"customresourcedefinitions.apiextensions.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io",
		"validatingadmissionpolicybindings.admissionregistration.k8s.io", "mutatingadmissionpolicies.admissionregistration.k8s.io",
		"certificatesigningrequests.certificates.k8s.io"}
	for _, r := range v1alpha1.Resources() {
		out = append(out, r.Plural)
	}
	return out
}

// testAggregation has those who have Kubernetes' own roles in a namespace have Meridian's rights there.
func testAggregation(t *testing.T, w *world) {
	for who, verbs := range map[string]string{editor: all, watcher: look} {
		for _, verb := range strings.Fields(all) {
			for _, resource := range []string{"applications", "accesspolicies", "externalservices", "ipclaims"} {
				for namespace, in := range map[string]bool{"shop": true, "bank": false, "": false} {
					got, err := may(t.Context(), w.client(t, who), verb, resource, namespace)
					if err != nil {
						t.Fatal(err)
					}
					if want := in && slices.Contains(strings.Fields(verbs), verb); got != want {
						t.Errorf("%s may %s %s in %q: %t, want %t", who, verb, resource, namespace, got, want)
					}
				}
			}
		}
	}
}

// testRequests makes the requests that the rights are about.
func testRequests(t *testing.T, w *world) {
	app := func(namespace string) string {
		return fmt.Sprintf(`{apiVersion: meridian.dev/v1alpha1, kind: Application, metadata: {name: web, namespace: %s},
			spec: {template: {spec: {containers: [{name: main, image: "web:1"}]}}}}`, namespace)
	}
	const (
		policy = `{apiVersion: meridian.dev/v1alpha1, kind: AccessPolicy, metadata: {name: let, namespace: shop}, spec: {rules: [{from: [{namespace: bank}]}]}}`
		quota  = `{apiVersion: meridian.dev/v1alpha1, kind: TenantQuota, metadata: {name: shop}, spec: {tenant: shop, applications: 1}}`
		region = `{apiVersion: meridian.dev/v1alpha1, kind: Region, metadata: {name: west}}`
	)
	tests := []struct {
		name, who, manifest string
		status, allowed     bool
	}{
		{"a viewer deploys", viewer, app("shop"), false, false},
		{"a tenant deploys", admin, app("shop"), false, true},
		{"a tenant deploys into another's namespace", admin, app("bank"), false, false},
		{"a tenant says that it is ready", admin, app("shop"), true, false},
		{"a platform admin says that it is ready", platform, app("shop"), true, false},
		{"a tenant lets others call", admin, policy, false, true},
		{"a stranger lets others call", stranger, policy, false, false},
		{"a tenant raises its quota", admin, quota, false, false},
		{"a platform admin sets a quota", platform, quota, false, true},
		{"a tenant adds a region", admin, region, false, false},
		{"a platform admin adds a region", platform, region, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := w.apply(t, tt.who, tt.manifest, tt.status)
			if tt.allowed && err != nil || !tt.allowed && !apierrors.IsForbidden(err) {
				t.Errorf("%v, want allowed: %t", err, tt.allowed)
			}
		})
	}
	t.Run("a platform admin binds cluster-admin", func(t *testing.T) {
		if err := bindIn(t, w.client(t, platform), "cluster-admin", platform); !apierrors.IsForbidden(err) {
			t.Errorf("%v, want it forbidden", err)
		}
	})
	t.Run("a tenant relabels its namespace", func(t *testing.T) {
		_, err := w.client(t, admin).CoreV1().Namespaces().Patch(t.Context(), "shop", "application/merge-patch+json",
			[]byte(`{"metadata":{"labels":{"meridian.dev/tenant":"bank"}}}`), metav1.PatchOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("%v, want it forbidden", err)
		}
	})
}

// apply applies a manifest, or its status, as a person.
func (w *world) apply(t *testing.T, who, manifest string, status bool) error {
	t.Helper()
	var u unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(w.clients[who])
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]v1alpha1.Resource{}
	for _, r := range v1alpha1.Resources() {
		kinds[r.Kind] = r
	}
	r, ok := kinds[u.GetKind()]
	if !ok {
		t.Fatalf("%s is none of %v", u.GetKind(), slices.Collect(maps.Keys(kinds)))
	}
	var target dynamic.ResourceInterface = client.Resource(r.GroupVersionResource())
	if r.Namespaced {
		target = client.Resource(r.GroupVersionResource()).Namespace(u.GetNamespace())
	}
	opts := metav1.ApplyOptions{FieldManager: "test", Force: true}
	if status {
		u.Object["status"] = map[string]any{"summary": "1/1"}
		_, err = target.ApplyStatus(t.Context(), u.GetName(), &u, opts)
		return err
	}
	_, err = target.Apply(t.Context(), u.GetName(), &u, opts)
	return err
}
