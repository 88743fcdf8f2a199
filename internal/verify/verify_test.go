package verify_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/verify"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is all that is examined, and in order unless a case changes it.
type world struct {
	top    question.Node
	tokens []question.Token
	mesh   verify.Mesh
	agent  verify.Agent
	visits []verify.Visit
}

func identity(life time.Duration) *question.Identity {
	return &question.Identity{Root: "sha256:aa", Believes: []string{"sha256:aa"}, Issued: now.Add(-life / 2), Expires: now.Add(life / 2),
		AuthorityExpires: now.Add(20 * 24 * time.Hour)}
}

func overview() *question.Overview { return &question.Overview{Identity: identity(24 * time.Hour)} }

const meshYAML = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart, namespace: shop}
spec:
  action: ALLOW
  selector: {matchLabels: {app: cart}}
  rules:
  - from: [{source: {namespaces: [shop]}}]
  - from: [{source: {principals: [prod/ns/pay/sa/ledger]}}]
    to: [{operation: {ports: ["8080"]}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: istio-system}
spec: {egress: [{hosts: ["./*", "monitoring/collector.monitoring.svc.cluster.local"]}]}
`

func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

func newWorld(t *testing.T) *world {
	t.Helper()
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}}}
	lease := []rbacv1.PolicyRule{{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"meridian-agent"}, Verbs: []string{"get"}}}
	rights := func() []verify.Rights {
		return []verify.Rights{{Role: "ClusterRole meridian-agent", Rules: slices.Clone(rules)},
			{Role: "Role meridian-agent", Namespace: "meridian-system", Rules: slices.Clone(lease)}}
	}
	zone := question.Node{Tier: question.TierZone, Name: "west-a", Overview: overview()}
	zone.Overview.Replicas = []question.Replica{{ID: "a", Identity: identity(24 * time.Hour)}, {ID: "b", Identity: identity(24 * time.Hour)}}
	region := question.Node{Tier: question.TierRegion, Name: "west", Overview: overview(), Children: []question.Node{zone}}
	top := overview()
	top.Sessions = []question.Session{{Peer: "region/west", Connected: true, Serial: "1f"}}
	return &world{
		top:    question.Node{Tier: question.TierGlobal, Name: "global", Overview: top, Children: []question.Node{region}},
		tokens: []question.Token{{ID: "abc", Uses: 1, Created: now, Expires: now.Add(time.Hour), Target: question.Path{Region: "west"}}},
		mesh: verify.Mesh{Cluster: "west-a-1", Source: "live", RootNamespace: "istio-system", DefaultSidecar: true,
			Namespaces: []string{"shop"}, Objects: objects(t, meshYAML)},
		agent: verify.Agent{Cluster: "west-a-1", Wanted: rights(), Given: rights()},
		visits: []verify.Visit{{Address: "h:1", URL: "http://h:1/metrics", Status: http.StatusBadRequest},
			{Address: "h:1", URL: "https://h:1/metrics", TLS: true, Status: http.StatusUnauthorized}},
	}
}

func (w *world) report() *verify.Report {
	var r verify.Report
	r.Tree(&w.top, now)
	r.Tokens(w.tokens, now)
	r.Mesh(w.mesh)
	r.Agent(w.agent)
	r.Admin(w.visits)
	r.Finish()
	return &r
}

func (w *world) zone() *question.Node { return &w.top.Children[0].Children[0] }

// set changes a field of the mesh object of a kind.
func (w *world) set(t *testing.T, kind, text string) {
	t.Helper()
	i := slices.IndexFunc(w.mesh.Objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind })
	var spec map[string]any
	if err := yaml.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	w.mesh.Objects[i].Object["spec"] = spec
}

// add adds a mesh object of another's.
func (w *world) add(t *testing.T, text string) {
	w.mesh.Objects = append(w.mesh.Objects, objects(t, text)...)
}

func TestNothingToFind(t *testing.T) {
	r := newWorld(t).report()
	if len(r.Findings) > 0 {
		t.Errorf("findings where all is in order: %+v", r.Findings)
	}
	for _, e := range r.Examined {
		if e.Count == 0 || len(e.Skipped) > 0 {
			t.Errorf("check %s: examined %d, skipped %q; want some and none", e.Check, e.Count, e.Skipped)
		}
	}
	if len(r.Examined) != len(verify.Checks()) {
		t.Errorf("checks: got %d, want %d", len(r.Examined), len(verify.Checks()))
	}
}

func TestFindings(t *testing.T) {
	const zone = "region/west/zone/west-a"
	give := func(role, namespace, group, resource, verb string) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) {
			w.agent.Given = append(w.agent.Given, verify.Rights{Role: role, Namespace: namespace,
				Rules: []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}}}})
		}
	}
	policy := func(spec string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) { w.set(t, "AuthorizationPolicy", spec) }
	}
	tests := []struct {
		name   string
		change func(*testing.T, *world)
		want   []string // severity, check, subject: message begins so
	}{
		{"a node that shows no identity", func(_ *testing.T, w *world) { w.zone().Overview.Identity = nil },
			[]string{"critical mutual-tls " + zone + ": it shows no identity"}},
		{"a replica that shows none", func(_ *testing.T, w *world) { w.zone().Overview.Replicas[1].Identity = nil },
			[]string{"critical mutual-tls " + zone + " replica b: it shows no identity"}},
		{"a child that has shown no certificate", func(_ *testing.T, w *world) { w.top.Overview.Sessions[0].Serial = "" },
			[]string{"critical mutual-tls global: its session with region/west is with somebody"}},
		{"a child that is not connected", func(_ *testing.T, w *world) {
			w.top.Overview.Sessions = []question.Session{{Peer: "region/west"}}
		}, nil},
		{"a node that does not answer", func(_ *testing.T, w *world) { w.zone().Overview, w.zone().Unanswered = nil, "no session" },
			[]string{"warning mutual-tls " + zone + ": not examined: no session"}},
		{"a part that was left out", func(_ *testing.T, w *world) { w.top.Omitted = "3 regions" },
			[]string{"warning mutual-tls global: not examined: 3 regions"}},
		{"a child under another root", func(_ *testing.T, w *world) {
			id := w.zone().Overview.Identity
			id.Root, id.Believes = "sha256:bb", []string{"sha256:bb"}
		}, []string{"critical mutual-tls " + zone + ": it does not believe the root of its parent's", "critical mutual-tls " + zone + ": its parent does not believe"}},
		{"a root that is not believed by who is under it", func(_ *testing.T, w *world) { w.zone().Overview.Replicas[0].Identity.Root = "sha256:cc" },
			[]string{"critical roots " + zone + " replica a: its certificate is under sha256:cc"}},
		{"two roots", func(_ *testing.T, w *world) { w.top.Overview.Identity.Believes = []string{"sha256:aa", "sha256:bb"} },
			[]string{"info roots global: it believes 2 roots"}},
		{"a certificate that has ended", func(_ *testing.T, w *world) { w.zone().Overview.Identity.Expires = now.Add(-time.Minute) },
			[]string{"critical certificates " + zone + ": its certificate has ended 1m0s ago"}},
		{"a certificate that should have been renewed", func(_ *testing.T, w *world) {
			w.zone().Overview.Identity.Issued = now.Add(-23 * time.Hour)
			w.zone().Overview.Identity.Expires = now.Add(time.Hour)
		}, []string{"warning certificates " + zone + ": its certificate ends in 1h0m0s, of a life of 24h0m0s; renewal is overdue"}},
		{"a certificate that lives long", func(_ *testing.T, w *world) { w.zone().Overview.Identity = identity(365 * 24 * time.Hour) },
			[]string{"warning certificates " + zone + ": its certificate lives for 8760h0m0s", "warning certificates " + zone + ": the certificate that it issues its children's by ends in 480h0m0s"}},
		{"an authority that has ended", func(_ *testing.T, w *world) { w.zone().Overview.Identity.AuthorityExpires = now.Add(-time.Hour) },
			[]string{"critical certificates " + zone + ": the certificate that it issues its children's by has ended"}},
		{"an authority that ends soon", func(_ *testing.T, w *world) { w.zone().Overview.Identity.AuthorityExpires = now.Add(time.Hour) },
			[]string{"warning certificates " + zone + ": the certificate that it issues its children's by ends in 1h0m0s"}},
		{"a token that lives long", func(_ *testing.T, w *world) { w.tokens[0].Expires = now.Add(48 * time.Hour) },
			[]string{"warning tokens abc for region/west: it counts for 48h0m0s"}},
		{"a token that lived long", func(_ *testing.T, w *world) { w.tokens[0].Created, w.tokens[0].Expires = now.Add(-48*time.Hour), now }, nil},
		{"a token that is spent", func(_ *testing.T, w *world) { w.tokens[0].Expires, w.tokens[0].Used = now.Add(48*time.Hour), 1 }, nil},
		{"a token for many", func(_ *testing.T, w *world) { w.tokens[0].Uses = 100 }, []string{"warning tokens abc for region/west: 100 processes"}},
		{"a token that replaces", func(_ *testing.T, w *world) { w.tokens[0].Mode = question.TokenReplace }, []string{"info tokens abc for region/west: who has it"}},
		{"a namespace with no PeerAuthentication", func(_ *testing.T, w *world) { w.mesh.Namespaces = append(w.mesh.Namespaces, "pay") },
			[]string{"critical strict-mtls west-a-1 (live): namespace pay: no PeerAuthentication"}},
		{"a namespace under the whole mesh's", func(t *testing.T, w *world) {
			w.mesh.Namespaces = append(w.mesh.Namespaces, "pay")
			w.add(t, "kind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}")
		}, nil},
		{"permissive", func(t *testing.T, w *world) { w.set(t, "PeerAuthentication", "mtls: {mode: PERMISSIVE}") },
			[]string{"critical strict-mtls west-a-1 (live): PeerAuthentication shop/default: mTLS is PERMISSIVE", "critical strict-mtls west-a-1 (live): namespace shop: no"}},
		{"strict for some pods only", func(t *testing.T, w *world) {
			w.set(t, "PeerAuthentication", "{mtls: {mode: STRICT}, selector: {matchLabels: {app: cart}}}")
		}, []string{"critical strict-mtls west-a-1 (live): namespace shop: no"}},
		{"disabled at a port", func(t *testing.T, w *world) {
			w.set(t, "PeerAuthentication", `{mtls: {mode: STRICT}, portLevelMtls: {"8080": {mode: DISABLE}}}`)
		}, []string{"critical strict-mtls west-a-1 (live): PeerAuthentication shop/default: mTLS is DISABLE at port 8080"}},
		{"a rule for anybody", policy("{rules: [{}]}"), []string{"critical allow-all west-a-1 (live): AuthorizationPolicy shop/cart: one of its rules lets anybody make any call"}},
		{"a rule for any principal", policy(`{action: ALLOW, rules: [{from: [{source: {namespaces: [shop]}}, {source: {principals: ["*"]}}]}]}`),
			[]string{"critical allow-all west-a-1 (live): AuthorizationPolicy shop/cart: one of its rules lets anybody make any call"}},
		{"a rule for any principal of one namespace", policy(`{rules: [{from: [{source: {namespaces: [shop], principals: ["*"]}}]}]}`), nil},
		{"a rule for any but one", policy(`{rules: [{from: [{source: {notNamespaces: [shop]}}]}]}`), nil},
		{"a rule for anybody at one port", policy(`{rules: [{to: [{operation: {ports: ["8080"]}}]}]}`),
			[]string{"warning allow-all west-a-1 (live): AuthorizationPolicy shop/cart: one of its rules lets anybody make some calls"}},
		{"a rule for who has a claim", policy(`{rules: [{when: [{key: "request.auth.claims[iss]", values: [x]}]}]}`), nil},
		{"a rule that denies anybody", policy("{action: DENY, rules: [{}]}"), nil},
		{"no rule, which lets nobody in", policy("{action: ALLOW}"), nil},
		{"no default Sidecar", func(_ *testing.T, w *world) { w.mesh.Objects = w.mesh.Objects[:2] },
			[]string{"warning default-sidecar west-a-1 (live): no Sidecar without a selector in istio-system"}},
		{"no default Sidecar, as the inventory has it", func(_ *testing.T, w *world) { w.mesh.Objects, w.mesh.DefaultSidecar = w.mesh.Objects[:2], false },
			[]string{"info default-sidecar west-a-1 (live): its inventory has mesh.defaultSidecar off"}},
		{"a default Sidecar that bounds nothing", func(t *testing.T, w *world) { w.set(t, "Sidecar", `egress: [{hosts: ["*/*"]}]`) },
			[]string{"warning default-sidecar west-a-1 (live): no Sidecar"}},
		{"a Sidecar for some pods", func(t *testing.T, w *world) {
			w.set(t, "Sidecar", `{egress: [{hosts: ["./*"]}], workloadSelector: {labels: {a: b}}}`)
		}, []string{"warning default-sidecar west-a-1 (live): no Sidecar"}},
		{"an agent that administers the cluster", give("ClusterRole cluster-admin", "", "*", "*", "*"),
			[]string{"critical agent-role west-a-1: ClusterRole cluster-admin: the agent has rights that it does not need: * *.*"}},
		{"an agent that reads secrets in a namespace", give("Role reader", "shop", "", "secrets", "get"),
			[]string{"critical agent-role west-a-1: Role reader: the agent has rights that it does not need: get secrets in namespace shop"}},
		{"an agent that may change roles", give("ClusterRole x", "", "rbac.authorization.k8s.io", "roles", "create"), []string{"critical agent-role west-a-1: ClusterRole x"}},
		{"an agent with one right more", give("ClusterRole x", "", "batch", "jobs", "list"),
			[]string{"warning agent-role west-a-1: ClusterRole x: the agent has rights that it does not need: list jobs.batch"}},
		{"an agent with a right that it has already", give("Role x", "shop", "apps", "deployments", "get"), nil},
		{"an agent with any Lease", give("Role x", "meridian-system", "coordination.k8s.io", "leases", "get"),
			[]string{"warning agent-role west-a-1: Role x: the agent has rights that it does not need: get leases.coordination.k8s.io in namespace meridian-system"}},
		{"an agent with its Lease's name everywhere", func(_ *testing.T, w *world) { w.agent.Given[1].Namespace = "" },
			[]string{"warning agent-role west-a-1: Role meridian-agent: the agent has rights that it does not need: get leases.coordination.k8s.io meridian-agent"}},
		{"an agent that lacks a right", func(_ *testing.T, w *world) { w.agent.Given = w.agent.Given[:1] },
			[]string{"warning agent-role west-a-1: the agent lacks rights that it needs: get leases.coordination.k8s.io meridian-agent in namespace meridian-system"}},
		{"metrics in plain text", func(_ *testing.T, w *world) { w.visits[0].Status = http.StatusOK },
			[]string{"critical admin-address h:1: http://h:1/metrics is shown to anybody, in plain text"}},
		{"metrics for anybody", func(_ *testing.T, w *world) { w.visits[1].Status = http.StatusOK },
			[]string{"critical admin-address h:1: https://h:1/metrics is shown to anybody; set"}},
		{"metrics on loopback", func(_ *testing.T, w *world) {
			w.visits = append(w.visits, verify.Visit{Address: "127.0.0.1:1", URL: "http://127.0.0.1:1/metrics", Status: http.StatusOK})
		}, []string{"info admin-address 127.0.0.1:1: http://127.0.0.1:1/metrics is shown to everybody on this host"}},
		{"an admin address where nothing is", func(_ *testing.T, w *world) { w.visits[0].Status, w.visits[1].Status = 0, 0 },
			[]string{"warning admin-address h:1: not examined: nothing answers there"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(t, w)
			got := w.report().Findings
			ok := len(got) == len(tt.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.HasPrefix(fmt.Sprintf("%s %s %s: %s", got[i].Severity, got[i].Check, got[i].Subject, got[i].Message), tt.want[i])
			}
			if !ok {
				t.Errorf("findings:\n got %+v\nwant %q", got, tt.want)
			}
		})
	}
}

func TestFindingsAreInOrder(t *testing.T) {
	w := newWorld(t)
	w.top.Overview.Identity.Believes = []string{"sha256:aa", "sha256:bb"}
	w.tokens[0].Uses = 100
	w.visits[0].Status = http.StatusOK
	r := w.report()
	var got []verify.Severity
	for _, f := range r.Findings {
		got = append(got, f.Severity)
	}
	if want := []verify.Severity{verify.Critical, verify.Warning, verify.Info}; !slices.Equal(got, want) {
		t.Errorf("severities: got %q, want %q", got, want)
	}
	for _, s := range []verify.Severity{verify.Critical, verify.Warning, verify.Info} {
		if n := r.Count(s); n != 1 {
			t.Errorf("Count(%s): got %d, want 1", s, n)
		}
	}
}

func TestNoMesh(t *testing.T) {
	var r verify.Report
	r.NoMesh("west-a-1")
	if len(r.Findings) != 1 || r.Findings[0].Severity != verify.Info || r.Findings[0].Subject != "west-a-1" {
		t.Errorf("findings: got %+v, want one for information", r.Findings)
	}
}

// What nobody asked for is told among what was not examined, and is no finding.
func TestUnasked(t *testing.T) {
	var r verify.Report
	r.Unasked(verify.CheckRole, "give a kubeconfig")
	r.Finish()
	i := slices.IndexFunc(r.Examined, func(e verify.Examined) bool { return e.Check == verify.CheckRole })
	if e := r.Examined[i]; e.Count != 0 || !slices.Equal(e.Skipped, []string{"give a kubeconfig"}) || len(r.Findings) > 0 {
		t.Errorf("got %+v and %+v, want it told as not examined", e, r.Findings)
	}
}
