package cli_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/internal/cli"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// terminal runs commands as a person would.
type terminal struct {
	t          *testing.T
	kubeconfig string
	cluster    *localkube.Cluster
}

// result is what a command wrote and how it ended.
type result struct {
	out, err string
	failed   error
}

func (tm terminal) run(stdin string, args ...string) result {
	tm.t.Helper()
	var out, errs bytes.Buffer
	env := cli.Env{In: strings.NewReader(stdin), Out: &out, Err: &errs, Now: time.Now}
	if tm.kubeconfig != "" {
		args = append([]string{"--kubeconfig", tm.kubeconfig}, args...)
	}
	err := cli.Execute(tm.t.Context(), cli.New(env), args)
	return result{out.String(), errs.String(), err}
}

// ok runs a command that must succeed.
func (tm terminal) ok(stdin string, args ...string) string {
	tm.t.Helper()
	r := tm.run(stdin, args...)
	if r.failed != nil {
		tm.t.Fatalf("meridian %s: %v\n%s", strings.Join(args, " "), r.failed, r.err)
	}
	return r.out
}

func startServer(t *testing.T) terminal {
	t.Helper()
	c := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := c.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	return terminal{t: t, kubeconfig: c.Kubeconfig(), cluster: c}
}

func wantEqual(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n--- got\n%s--- want\n%s", what, got, want)
	}
}

func wantParts(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: %q is missing in\n%s", what, part, got)
		}
	}
}

const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {meridian.dev/environment: prod}}\n"

func application(name, image string) string {
	return "apiVersion: meridian.dev/v1alpha1\nkind: Application\nmetadata: {name: " + name + ", namespace: shop}\n" +
		"spec:\n  template: {spec: {containers: [{name: server, image: '" + image + "'}]}}\n"
}

func TestResources(t *testing.T) {
	tm := startServer(t)
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Named so that the namespace comes after what is in it.
	write("apps.yaml", "# the shop\n---\n"+application("cart", "cart:1")+"---\n"+application("redis", "redis:7"))
	write("namespace.yaml", namespace)
	write("README.md", "not a manifest")

	t.Run("dry run", func(t *testing.T) {
		wantEqual(t, "apply", tm.ok(namespace, "apply", "--dry-run", "-f", "-"), "namespace/shop created (dry run)\n")
	})
	t.Run("apply creates, in the order of need", func(t *testing.T) {
		wantEqual(t, "apply", tm.ok("", "apply", "-f", dir),
			"namespace/shop created\napplication.meridian.dev/cart created\napplication.meridian.dev/redis created\n")
	})
	t.Run("apply again changes nothing", func(t *testing.T) {
		wantEqual(t, "apply", tm.ok("", "apply", "-f", dir),
			"namespace/shop unchanged\napplication.meridian.dev/cart unchanged\napplication.meridian.dev/redis unchanged\n")
	})
	t.Run("apply changes", func(t *testing.T) {
		wantEqual(t, "apply", tm.ok(application("cart", "cart:2"), "apply", "-f", "-"), "application.meridian.dev/cart configured\n")
	})
	t.Run("apply goes on after bad objects", func(t *testing.T) { testBadObjects(t, tm) })
	t.Run("apply refuses another namespace than the flag's", func(t *testing.T) {
		r := tm.run(application("cart", "cart:2"), "apply", "-n", "bank", "-f", "-")
		wantParts(t, "apply", r.err, "the namespace of cart is shop, and --namespace says bank")
	})
	t.Run("get", func(t *testing.T) { testGet(t, tm) })
	t.Run("describe", func(t *testing.T) {
		out := tm.ok("", "describe", "mapp/cart", "-n", "shop")
		wantParts(t, "describe", out, "Name:", "cart", "Container server:", "cart:2", "Global has not looked at it yet.")
		out = tm.ok("", "describe", "ns", "shop")
		wantParts(t, "describe", out, "Kind:", "Namespace (v1)", "meridian.dev/environment=prod")
	})
	t.Run("delete", func(t *testing.T) { testDelete(t, tm, dir) })
}

func testBadObjects(t *testing.T, tm terminal) {
	docs := []string{
		application("shipping", "shipping:1"),
		strings.Replace(application("typo", "x:1"), "spec:\n", "spec:\n  replcas: 3\n", 1),
		application(strings.Repeat("n", 41), "x:1"),
		"apiVersion: meridian.dev/v1alpha1\nkind: Aplication\nmetadata: {name: x, namespace: shop}\n",
		"a: [b\n",
		application("email", "email:1"),
	}
	r := tm.run(strings.Join(docs, "---\n"), "apply", "-f", "-")
	wantEqual(t, "apply", r.out, "application.meridian.dev/shipping created\napplication.meridian.dev/email created\n")
	wantParts(t, "errors", r.err,
		"error: standard input, document 2: ", "replcas",
		"error: standard input, document 3: ", "at most 40 characters",
		"error: standard input, document 4: the server has no kind Aplication",
		"error: standard input, document 5: ",
	)
	if r.failed == nil || r.failed.Error() != "4 of 6 objects could not be applied" {
		t.Errorf("apply: got %v, want 4 of 6 to fail", r.failed)
	}
}

func testGet(t *testing.T, tm terminal) {
	out := tm.ok("", "get", "applications", "-n", "shop")
	wantParts(t, "get", out, "NAME ", "CONVERGED", "READY", "cart", "redis", "shipping")
	if strings.Contains(out, "NAMESPACE") || strings.Contains(out, "MODE") {
		t.Errorf("get: columns that were not asked for in\n%s", out)
	}
	wantParts(t, "get -A", tm.ok("", "get", "mapp", "-A"), "NAMESPACE", "shop")
	wantParts(t, "get -o wide", tm.ok("", "get", "Application", "cart", "-n", "shop", "-o", "wide"), "MODE", "Divided")
	yaml := tm.ok("", "get", "application.meridian.dev", "cart", "-n", "shop", "-o", "yaml")
	wantParts(t, "get -o yaml", yaml, "image: cart:2", "kind: Application\n")
	if strings.Contains(yaml, "managedFields") {
		t.Errorf("get -o yaml shows managedFields:\n%s", yaml)
	}
	wantParts(t, "get -o json", tm.ok("", "get", "mapp", "-n", "shop", "-o", "json"), `"kind": "List"`, `"name": "redis"`)
	wantEqual(t, "get -o name", tm.ok("", "get", "mapp/cart", "mapp/redis", "-n", "shop", "-o", "name"),
		"application.meridian.dev/cart\napplication.meridian.dev/redis\n")
	wantParts(t, "get category", tm.ok("", "get", "meridian", "-A"), "application.meridian.dev/cart")
	wantParts(t, "get several", tm.ok("", "get", "ns,mapp", "-n", "shop"), "namespace/shop", "application.meridian.dev/cart")

	r := tm.run("", "get", "mapp", "cart", "nothing", "-n", "shop")
	wantParts(t, "get one of two", r.out, "cart")
	if r.failed == nil || !strings.Contains(r.failed.Error(), `"nothing" not found`) {
		t.Errorf("get one of two: got %v, want it to name the other", r.failed)
	}
	r = tm.run("", "get", "mapp")
	if r.failed != nil || r.err != "No resources found in namespace default.\n" {
		t.Errorf("get nothing: got %q, %v", r.err, r.failed)
	}
	if r = tm.run("", "get", "bananas"); r.failed == nil || r.failed.Error() != `the server has no kind "bananas"` {
		t.Errorf("get bananas: got %v", r.failed)
	}
}

func testDelete(t *testing.T, tm terminal, dir string) {
	wantEqual(t, "delete", tm.ok("", "delete", "mapp", "shipping", "email", "-n", "shop"),
		"application.meridian.dev/shipping deleted\napplication.meridian.dev/email deleted\n")
	r := tm.run("", "delete", "mapp", "shipping", "redis", "-n", "shop")
	wantEqual(t, "delete", r.out, "application.meridian.dev/redis deleted\n")
	if r.failed == nil || r.failed.Error() != "1 of 2 objects could not be deleted" {
		t.Errorf("delete: got %v, want one of two to fail", r.failed)
	}
	wantEqual(t, "delete -f", tm.ok("", "delete", "--ignore-not-found", "-f", filepath.Join(dir, "apps.yaml")),
		"application.meridian.dev/cart deleted\n")
	if r := tm.run("", "delete", "mapp", "-n", "shop"); r.failed == nil || !strings.Contains(r.failed.Error(), "by name") {
		t.Errorf("delete without names: got %v, want an error", r.failed)
	}
	if r := tm.run("", "delete"); r.failed == nil {
		t.Error("delete of nothing: got no error")
	}
}

func TestDeleteWaitsForFinalizers(t *testing.T) {
	tm := startServer(t)
	tm.ok(namespace, "apply", "-f", "-")
	held := strings.Replace(application("cart", "cart:1"), "namespace: shop", "namespace: shop, finalizers: [example.com/hold]", 1)
	tm.ok(held, "apply", "-f", "-")
	r := tm.run("", "delete", "mapp/cart", "-n", "shop", "--timeout", "300ms")
	if r.failed == nil || !strings.Contains(r.failed.Error(), "waiting until application.meridian.dev/cart is gone") {
		t.Fatalf("delete: got %v, want it to wait", r.failed)
	}
	tm.ok(application("cart", "cart:1"), "apply", "-f", "-")
	if r := tm.run("", "get", "mapp/cart", "-n", "shop"); r.failed == nil {
		t.Errorf("get: got\n%s, want the application gone once nothing holds it", r.out)
	}
}

func TestWithoutServer(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	tm := terminal{t: t}
	for _, args := range [][]string{{"get", "mapp"}, {"status"}, {"apply", "-f", "-"}} {
		r := tm.run(namespace, args...)
		if r.failed == nil || !strings.Contains(r.failed.Error(), "reading the kubeconfig") {
			t.Errorf("meridian %s: got %v, want it to name the kubeconfig", args[0], r.failed)
		}
	}
	if r := tm.run("", "apply", "-f", filepath.Join(t.TempDir(), "absent.yaml")); !errors.Is(r.failed, os.ErrNotExist) {
		t.Errorf("apply of an absent file: got %v", r.failed)
	}
	wantParts(t, "version", tm.ok("", "version"), "meridian ", "go1.")
}
