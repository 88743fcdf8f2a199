package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/verify"
)

// broken are the resources, by kind, that a test breaks a cluster with.
var broken = map[string]schema.GroupVersionResource{
	"PeerAuthentication":  {Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"},
	"AuthorizationPolicy": {Group: "security.istio.io", Version: "v1", Resource: "authorizationpolicies"},
	"ClusterRole":         {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding":  {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
}

// verify runs `meridian verify` over everything there is: all clusters, and the admin address of every process.
func (f *federation) verify(t *testing.T) verify.Report {
	t.Helper()
	args := []string{"verify", "-o", "json"}
	for _, name := range allClusters {
		args = append(args, "--cluster-kubeconfig", name+"="+f.run.Kubeconfig(name))
	}
	for _, name := range append(f.tiers(), f.agents()...) {
		args = append(args, "--admin", f.run.Admin(name))
	}
	out, failed := f.command(t.Context(), "", args...) // it fails where it finds something critical
	var report verify.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("reading the report: %v; %v", err, failed)
	}
	if critical := report.Count(verify.Critical); (failed != nil) != (critical > 0) {
		t.Errorf("`meridian verify` ended with %v, and found %d critical things", failed, critical)
	}
	return report
}

// critical are the checks and subjects of what is critical.
func critical(r verify.Report) (out []string) {
	for _, found := range r.Findings {
		if found.Severity == verify.Critical {
			out = append(out, found.Check+" "+found.Subject)
		}
	}
	return out
}

// TestVerifyFindsWhatIsBroken verifies the whole run, and then one thing after another that somebody broke in a cluster.
func TestVerifyFindsWhatIsBroken(t *testing.T) {
	f := start(t)
	id, _, _ := strings.Cut(f.token(t, "--region", "west", "--zone", "west-b", "--replica"), ".")
	defer f.meridian(t, "token", "revoke", id)
	report := f.verify(t)
	if found := critical(report); len(found) > 0 {
		t.Errorf("critical in a run that nobody has touched: %q", found)
	}
	for _, check := range verify.Checks() {
		i := slices.IndexFunc(report.Examined, func(e verify.Examined) bool { return e.Check == check })
		if i < 0 || report.Examined[i].Count == 0 || len(report.Examined[i].Skipped) > 0 {
			t.Errorf("%s has examined %+v, want something and nothing left out", check, report.Examined)
		}
	}
	for _, tt := range []struct{ name, manifests, want string }{
		{"mTLS is permissive for some pods", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: legacy, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}, mtls: {mode: PERMISSIVE}}`,
			"strict-mtls west-b-1 (live): PeerAuthentication shop/legacy"},
		{"a policy lets everybody in", `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: debug, namespace: shop}
spec: {action: ALLOW, rules: [{}]}`,
			"allow-all west-b-1 (live): AuthorizationPolicy shop/debug"},
		{"the agent may do everything in one group", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: quick-fix}
rules: [{apiGroups: [apps], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: quick-fix}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: quick-fix}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "` + localkube.AgentGroup + `"}]`,
			"agent-role west-b-1: ClusterRole quick-fix"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for manifest := range strings.SplitSeq(tt.manifests, "\n---\n") {
				var o unstructured.Unstructured
				if err := yaml.Unmarshal([]byte(manifest), &o.Object); err != nil {
					t.Fatal(err)
				}
				f.clusters[westB1].create(t, broken[o.GetKind()], o.GetNamespace(), &o) // until the test ends
			}
			if found := critical(f.verify(t)); !slices.Equal(found, []string{tt.want}) {
				t.Errorf("critical: got %q, want %q", found, tt.want)
			}
		})
	}
	if found := critical(f.verify(t)); len(found) > 0 {
		t.Errorf("critical when all is mended: %q", found)
	}
}
