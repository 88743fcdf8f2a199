package global_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/meridian-federation/meridian/deploy/rbac"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// account is what Global's own account asked the hub's API server for, as rights, and what was forbidden to it.
type account struct {
	mu        sync.Mutex // guards all below
	used      map[string]bool
	forbidden []string
}

// record notes the requests of a client.
func (a *account) record(next http.RoundTripper) http.RoundTripper { return &recorder{a, next} }

type recorder struct {
	account *account
	next    http.RoundTripper
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	a, right := r.account, rightOf(request)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used[right] = true
	if request.URL.Query().Get("sendInitialEvents") == "true" {
		// A watch that begins with all there is; where a server offers none, client-go lists.
		a.used["list"+strings.TrimPrefix(right, "watch")] = true
	}
	if response.StatusCode == http.StatusForbidden {
		a.forbidden = append(a.forbidden, right)
	}
	return response, nil
}

// rightOf is the right that a request takes: VERB [GROUP/]RESOURCE[/SUBRESOURCE], with in NAMESPACE for the core's, and the name
// of what is read or changed there.
func rightOf(request *http.Request) string {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	group, rest := "", parts[2:] // of api, v1
	if parts[0] == "apis" {
		group, rest = parts[1], parts[3:]
	}
	namespace := ""
	if rest[0] == "namespaces" && len(rest) > 2 {
		namespace, rest = rest[1], rest[2:]
	}
	resource, name := rest[0], ""
	if len(rest) > 1 {
		name = rest[1]
	}
	if len(rest) > 2 {
		resource += "/" + rest[2]
	}
	verb := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[request.Method]
	switch {
	case verb != "":
	case request.URL.Query().Get("watch") != "":
		verb = "watch"
	case name == "":
		verb = "list"
	default:
		verb = "get"
	}
	if group != "" {
		namespace, name = "", "" // all of ours
	}
	return right(verb, group, resource, namespace, name)
}

func right(verb, group, resource, namespace, name string) string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", verb, strings.Trim(group+"/"+resource, "/"), strings.Trim(namespace+"/"+name, "/"))), " ")
}

// granted spells out the rights that rbac.Global gives by roles of its own.
func granted(t *testing.T) []string {
	t.Helper()
	var out []string
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(rbac.Global()), 4096); ; {
		var role rbacv1.ClusterRole // a Role has the same fields
		err := decoder.Decode(&role)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					for _, name := range append(rule.ResourceNames, "")[:max(1, len(rule.ResourceNames))] {
						out = append(out, right(verb, rule.APIGroups[0], resource, role.Namespace, name))
					}
				}
			}
		}
	}
}

// delegated are the rights that Global has by Kubernetes' own roles, and does use.
var delegated = []string{"create authentication.k8s.io/tokenreviews", "create authorization.k8s.io/subjectaccessreviews",
	"get configmaps kube-system/extension-apiserver-authentication"}

// TestGlobalsAccount has Global do all that it does at the hub with the role that is shipped for it: nothing is forbidden to
// it, and the role gives nothing that it does not use.
func TestGlobalsAccount(t *testing.T) {
	p := startPeople(t)
	p.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: AccessPolicy, metadata: {name: let, namespace: shop}, spec: {rules: [{from: [{namespace: bank}]}]}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: TenantQuota, metadata: {name: retail}, spec: {tenant: retail, applications: 5}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: IPPool, metadata: {name: services}, spec: {family: IPv4, purpose: Service, ranges: [{cidr: 10.9.0.0/24}]}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: IPClaim, metadata: {name: db, namespace: shop}, spec: {pool: services}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: ExternalService, metadata: {name: db, namespace: shop}, spec: {hosts: [db.example.com], ports: [{name: tls, port: 443, appProtocol: tls}]}}`)
	eventually(t, "Global has told where it is", func() string {
		if _, err := p.configMap(t, question.HubNamespace, question.HubConfigMap); err != nil {
			return err.Error()
		}
		return ""
	})
	carls := issue(t, carl, &p.ca)
	eventually(t, "a platform admin is answered, by certificate", func() string {
		if _, err := p.asks(t, p.shown(t, carls), question.KindTokenList, question.TokenListRequest{}); err != nil {
			return err.Error()
		}
		return ""
	})
	if _, err := p.asks(t, p.as(paula+"-token"), question.KindTokenList, question.TokenListRequest{}); err != nil {
		t.Error(err)
	}
	p.tier.stop()
	configMaps := p.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(question.HubNamespace)
	if _, err := configMaps.Patch(t.Context(), question.HubConfigMap, types.MergePatchType, []byte(`{"data":{"address":"elsewhere:1"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	p.startGlobal(t, mem.New())
	want := append(granted(t), delegated...)
	eventually(t, "Global has used each of its rights", func() string {
		p.account.mu.Lock()
		defer p.account.mu.Unlock()
		return strings.Join(slices.DeleteFunc(slices.Clone(want), func(right string) bool { return p.account.used[right] }), ", ")
	})
	p.tier.stop()
	if len(p.account.forbidden) > 0 {
		t.Errorf("forbidden to Global: %q", p.account.forbidden)
	}
	for right := range p.account.used {
		if !slices.Contains(want, right) {
			t.Errorf("Global may %s by no rule of its role", right)
		}
	}
}
