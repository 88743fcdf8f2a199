package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

const pools = `
apiVersion: meridian.dev/v1alpha1
kind: IPPool
metadata: {name: nodes}
spec: {family: IPv4, purpose: Node, ranges: [{cidr: 172.16.0.0/16}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`

// file writes a file that the test needs, and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestIPAMImport takes over plans at a real API server.
func TestIPAMImport(t *testing.T) {
	tm := startServer(t)
	tm.ok(pools, "apply", "-f", "-")
	good := file(t, "plan.csv", "prefix,pool,purpose,name,description\n10.0.0.0/16,pods,Pod,,\n10.0.4.0/24,,,lab,the lab\n172.17.0.0/16,nodes,,,\n172.16.0.7,,,,\n")
	want := "ippool.meridian.dev/nodes extended: 172.17.0.0/16\nippool.meridian.dev/pods created: 10.0.0.0/16\n" +
		"ipclaim.meridian.dev/lab created in shop: 10.0.4.0/24 of pods\nipclaim.meridian.dev/ip-172-16-0-7 created in shop: 172.16.0.7/32 of nodes\n"
	t.Run("dry run", func(t *testing.T) {
		wantEqual(t, "import", tm.ok("", "ipam", "import", good, "-n", "shop", "--dry-run"), strings.ReplaceAll(want, "\n", " (dry run)\n"))
		wantParts(t, "pools", tm.ok("", "ipam", "pools", "-o", "wide"), "nodes", "Node", "172.16.0.0/16")
		if r := tm.run("", "ipam", "pools", "pods"); r.failed == nil {
			t.Errorf("pool pods was made: %s", r.out)
		}
	})
	t.Run("a row that only the server refuses", func(t *testing.T) {
		bad := file(t, "bad.csv", "prefix,pool,purpose\n10.0.0.0/16,pods,Pod\n10.0.9.0/24,,\n10.64.0.0/16,more,Pod\n"+ranges("many", 33))
		r := tm.run("", "ipam", "import", bad, "-n", "shop")
		if r.failed == nil || !strings.Contains(r.failed.Error(), "33 of 36 rows are wrong, and nothing was done") {
			t.Errorf("got %v, want nothing done", r.failed)
		}
		wantParts(t, "errors", r.err, "bad.csv:5: ", "spec.ranges: Too many")
		r = tm.run("", "ipam", "import", bad, "-n", "nowhere")
		if r.failed == nil || !strings.Contains(r.err, `bad.csv:3: namespaces "nowhere" not found`) {
			t.Errorf("a namespace that is not there: got %v\n%s", r.failed, r.err)
		}
		if r := tm.run("", "ipam", "pools", "more"); r.failed == nil {
			t.Errorf("something was done: %s", r.out)
		}
	})
	t.Run("import", func(t *testing.T) {
		wantEqual(t, "import", tm.ok("", "ipam", "import", good, "-n", "shop"), want)
		wantParts(t, "claim", tm.ok("", "get", "ipclaim", "lab", "-n", "shop", "-o", "yaml"), "prefix: 10.0.4.0/24", "pool: pods",
			"kubernetes.io/description: the lab")
		wantParts(t, "pool", tm.ok("", "ipam", "pools", "nodes", "-o", "yaml"), "cidr: 172.16.0.0/16", "cidr: 172.17.0.0/16")
		r := tm.run("", "ipam", "import", good, "-n", "shop")
		wantEqual(t, "import again", r.out, "There is nothing to do.\n")
		wantParts(t, "import again", r.err, "plan.csv:2: 10.0.0.0/16 left out: it is there already", "plan.csv:5: 172.16.0.7/32 left out: it is there already")
	})
	t.Run("skip what is wrong", func(t *testing.T) {
		csv := "prefix\n10.0.4.9\n10.0.5.9\n::ffff:10.0.0.1\n"
		r := tm.run(csv, "ipam", "import", "-", "-n", "shop")
		if r.failed == nil || r.out != "" {
			t.Errorf("got %v, %q, want nothing done", r.failed, r.out)
		}
		wantParts(t, "errors", r.err, "error: -:2: prefix: 10.0.4.9/32 overlaps 10.0.4.0/24, which IPClaim shop/lab has\n",
			"error: -:4: prefix: ::ffff:10.0.0.1 is IPv4 written as IPv6")
		wantEqual(t, "skip", tm.ok(csv, "ipam", "import", "-", "-n", "shop", "--skip-invalid"),
			"ipclaim.meridian.dev/ip-10-0-5-9 created in shop: 10.0.5.9/32 of pods\n")
	})
	t.Run("no file", func(t *testing.T) {
		if r := tm.run("", "ipam", "import", filepath.Join(t.TempDir(), "none")); r.failed == nil || !strings.Contains(r.failed.Error(), "no such file") {
			t.Errorf("got %v", r.failed)
		}
	})
}

// ranges are lines of as many ranges for a pool.
func ranges(pool string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "10.128.%d.0/24,%s,Pod\n", i, pool)
	}
	return b.String()
}

// TestIPAMAllocate has IPClaims met and refused: their statuses are written here as Global writes them.
func TestIPAMAllocate(t *testing.T) {
	tm := startServer(t)
	tm.ok(pools, "apply", "-f", "-")
	config, err := clientcmd.BuildConfigFromFlags("", tm.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	claims := dynamic.NewForConfigOrDie(config).Resource(v1alpha1.GroupVersion.WithResource("ipclaims")).Namespace("shop")
	say := func(name, status string) {
		tiertest.Await(t, "IPClaim "+name, func() bool {
			_, err := claims.Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":`+status+`}`), metav1.PatchOptions{}, "status")
			return err == nil
		})
	}
	condition := func(status, reason, message string) string {
		return fmt.Sprintf(`{"conditions":[{"type":"Allocated","status":%q,"reason":%q,"message":%q,"lastTransitionTime":"2026-01-01T00:00:00Z"}]}`,
			status, reason, message)
	}
	allocate := func(args ...string) chan result {
		done := make(chan result, 1)
		go func() { done <- tm.run("", append([]string{"ipam", "allocate", "-n", "shop"}, args...)...) }()
		return done
	}
	t.Run("waits until it is given", func(t *testing.T) {
		done := allocate("dns", "--pool", "nodes")
		say("dns", condition("False", "Waiting", "more was asked for"))
		say("dns", `{"conditions":[{"type":"Allocated","status":"True","reason":"Allocated","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}],`+
			`"pool":"nodes","prefix":"172.16.0.1/32","address":"172.16.0.1"}`)
		if r := <-done; r.failed != nil || r.out != "172.16.0.1\n" {
			t.Errorf("got %q, %v", r.out, r.failed)
		}
		if r := <-allocate("dns", "--pool", "nodes"); r.out != "172.16.0.1\n" {
			t.Errorf("again: got %q, %v", r.out, r.failed)
		}
		if r := <-allocate("dns", "--pool", "nodes", "--length", "28"); r.failed == nil || !strings.Contains(r.failed.Error(), "asks for something else") {
			t.Errorf("another under its name: got %v", r.failed)
		}
		wantParts(t, "-o yaml", (<-allocate("dns", "--pool", "nodes", "-o", "yaml")).out, "kind: IPClaim", "address: 172.16.0.1")
	})
	t.Run("refused", func(t *testing.T) {
		done := allocate("big", "--purpose", "Node", "--length", "8")
		say("big", condition("False", "TooLarge", "pool nodes has no block for a /8"))
		if r := <-done; r.failed == nil || r.failed.Error() != "IPClaim shop/big is refused: TooLarge: pool nodes has no block for a /8" {
			t.Errorf("got %v", r.failed)
		}
	})
	t.Run("in vain", func(t *testing.T) {
		r := <-allocate("vain", "--pool", "nodes", "--timeout", "200ms")
		if r.failed == nil || r.failed.Error() != "IPClaim vain has nothing after 200ms: nothing was said of it yet" {
			t.Errorf("got %v", r.failed)
		}
	})
	for name, args := range map[string][]string{
		"say --pool or --purpose": {"x"}, "one of the two": {"x", "--pool", "a", "--purpose", "Pod"}, "IPv4-mapped": {"x", "--pool", "a", "--prefix", "::ffff:1.2.3.4"},
		`"Toy"`: {"x", "--purpose", "Toy"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := <-allocate(args...); r.failed == nil || !strings.Contains(r.failed.Error(), name) {
				t.Errorf("got %v, want %q", r.failed, name)
			}
		})
	}
	t.Run("release", func(t *testing.T) {
		wantEqual(t, "release", tm.ok("", "ipam", "release", "dns", "big", "-n", "shop"),
			"ipclaim.meridian.dev/dns deleted\nipclaim.meridian.dev/big deleted\n")
		if r := tm.run("", "ipam", "release", "dns", "-n", "shop"); r.failed == nil {
			t.Error("releasing it again: got no error")
		}
		tm.ok("", "ipam", "release", "dns", "-n", "shop", "--ignore-not-found")
	})
}

// TestIPAMArguments refuses what nobody can answer before anybody is asked.
func TestIPAMArguments(t *testing.T) {
	tm := terminal{t: t}
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no address", `"ten" is no address`, []string{"find", "ten"}},
		{"no prefix", `"10.0.0.0/40" is no prefix`, []string{"find", "10.0.0.0/40"}},
		{"IPv4 as IPv6", "write 10.0.0.1", []string{"find", "::ffff:10.0.0.1"}},
		{"host bits", "the prefix is 10.0.0.0/24", []string{"find", "10.0.0.1/24"}},
		{"repair without yes", "--repair and --yes go together", []string{"check", "--repair"}},
		{"yes without repair", "--repair and --yes go together", []string{"check", "--yes"}},
		{"check of no place", `place "a/b/c"`, []string{"check", "--at", "a/b/c"}},
		{"reclaim without yes", "say --yes if the place is gone for good", []string{"reclaim", "west"}},
		{"reclaim of Global", "nothing is delegated to Global", []string{"reclaim", "global", "--yes"}},
		{"export as yaml", "can be csv or json", []string{"export", "-o", "yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := tm.run("", append([]string{"ipam"}, tt.args...)...)
			if r.failed == nil || !strings.Contains(r.failed.Error(), tt.want) {
				t.Errorf("got %v, want %q", r.failed, tt.want)
			}
		})
	}
}
