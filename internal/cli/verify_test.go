package cli_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/deploy/agent"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/verify"
)

// verify runs the command, which must fail if and only if it finds something critical.
func (tr tree) verify(args ...string) *verify.Report {
	tr.t.Helper()
	r := tr.run("", append([]string{"verify", "-o", "json"}, args...)...)
	var report verify.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		tr.t.Fatalf("meridian verify: %v, %v in %q", r.failed, err, r.out)
	}
	critical := report.Count(verify.Critical)
	if errors.Is(r.failed, run.ErrTold) != (critical > 0) || r.failed != nil && critical == 0 {
		tr.t.Errorf("meridian verify: ended with %v and %d critical findings", r.failed, critical)
	}
	return &report
}

// critical are the checks and subjects of the critical findings.
func critical(r *verify.Report) []string {
	var out []string
	for _, f := range r.Findings {
		if f.Severity == verify.Critical {
			out = append(out, f.Check+" "+f.Subject)
		}
	}
	return out
}

func examined(r *verify.Report, check string) verify.Examined {
	return r.Examined[slices.IndexFunc(r.Examined, func(e verify.Examined) bool { return e.Check == check })]
}

// TestVerify asks a whole tree, and looks at an API server that stands for cluster a1.
func TestVerify(t *testing.T) {
	tr := startTree(t)
	tr.ok(application("cart", "cart:1"), "apply", "-f", "-")
	tr.agent.Await(t, "it is compiled", func(held map[record.Key]record.Record) bool {
		return held[object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}.Key()].Content != nil
	})
	t.Run("the hub", func(t *testing.T) { verifyHub(t, tr) })
	t.Run("a cluster", func(t *testing.T) { verifyCluster(t, tr) })
	t.Run("an admin address", func(t *testing.T) { verifyAdminAddress(t, tr) })
}

func verifyHub(t *testing.T, tr tree) {
	report := tr.verify()
	if found := critical(report); len(found) > 0 {
		t.Errorf("critical findings in a tree that is in order: %q", found)
	}
	for _, check := range []string{verify.CheckIdentity, verify.CheckCertificate, verify.CheckRoot, verify.CheckStrict, verify.CheckAllowAll, verify.CheckSidecar} {
		if e := examined(report, check); e.Count == 0 {
			t.Errorf("%s has examined nothing", check)
		}
	}
	for _, check := range []string{verify.CheckRole, verify.CheckAdmin} {
		if e := examined(report, check); e.Count != 0 || len(e.Skipped) != 1 {
			t.Errorf("%s: got %+v, want it not to be examined, and why", check, e)
		}
	}
	// Zone west-b has never come, and nobody knows what it shows.
	if !slices.ContainsFunc(report.Findings, func(f verify.Finding) bool {
		return f.Severity == verify.Warning && strings.Contains(f.Message, "not examined") && strings.Contains(f.Subject, "b1")
	}) {
		t.Errorf("cluster b1 of a zone that is not there: got %+v, want a warning", report.Findings)
	}
	text := tr.run("", "verify").out
	wantParts(t, "as text", text, "SEVERITY", "EXAMINED", "mutual-tls", "0 critical")
}

// What a cluster has, others may have changed.
func verifyCluster(t *testing.T, tr tree) {
	if err := tr.cluster.InstallIstioCRDs(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := []string{"--cluster-kubeconfig", "a1=" + tr.kubeconfig}
	expect := func(stage string, want ...string) {
		t.Helper()
		if got := critical(tr.verify(live...)); !slices.Equal(got, want) {
			t.Errorf("%s: got critical %q, want %q", stage, got, want)
		}
	}
	tr.ok(string(agent.RBAC()), "apply", "-f", "-")
	expect("nothing runs there")
	tr.ok("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart, namespace: shop, labels: {"+object.LabelManaged+": meridian}}\n"+
		"spec: {selector: {matchLabels: {app: cart}}, template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: c, image: c}]}}}\n", "apply", "-f", "-")
	expect("no PeerAuthentication", "strict-mtls a1 (live): namespace shop")
	tr.ok("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\nspec: {mtls: {mode: STRICT}}\n", "apply", "-f", "-")
	expect("mTLS is strict")
	tr.ok("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: debug, namespace: shop}\nspec: {rules: [{}]}\n", "apply", "-f", "-")
	expect("somebody lets all in", "allow-all a1 (live): AuthorizationPolicy shop/debug")
	tr.ok("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: quick-fix}\n"+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"+
		"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'meridian:agents'}]\n", "apply", "-f", "-")
	expect("somebody gives the agent all rights", "allow-all a1 (live): AuthorizationPolicy shop/debug", "agent-role a1: ClusterRole cluster-admin")

	r := tr.run("", "verify", "--cluster-kubeconfig", "nowhere="+tr.kubeconfig)
	if r.failed == nil || !strings.Contains(r.failed.Error(), "looking at cluster nowhere: the inventory does not have it") {
		t.Errorf("a cluster that is unknown: got %v", r.failed)
	}
}

func verifyAdminAddress(t *testing.T, tr tree) {
	status := http.StatusOK
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	plain, secured := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secured.Close()
	for _, server := range []*httptest.Server{plain, secured} {
		address := server.Listener.Addr().String()
		for answer, want := range map[int]int{http.StatusOK: 2, http.StatusUnauthorized: 0} {
			status = answer
			report := tr.verify("--admin", address)
			shown := 0
			for _, f := range report.Findings {
				if f.Check == verify.CheckAdmin && f.Subject == address {
					shown++
					if f.Severity != verify.Info {
						t.Errorf("%s on loopback: got %v, want it as information", server.URL, f)
					}
				}
			}
			if shown != want {
				t.Errorf("%s, which answers %d: got %d findings, want %d, of metrics and of profiles", server.URL, answer, shown, want)
			}
		}
	}
}
