package mesh_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden is one file of testdata: YAML of the input, and the objects wanted, each named ID@VERSION, indented.
type golden struct {
	path    string
	archive *txtar.Archive
}

func goldens(t testing.TB) []golden {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("looking for golden files: %v, %d found", err, len(paths))
	}
	var out []golden
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		out = append(out, golden{path, a})
	}
	return out
}

func (g golden) name() string { return strings.TrimSuffix(filepath.Base(g.path), ".txtar") }

func (g golden) read(t testing.TB, file string, into any) {
	t.Helper()
	for _, f := range g.archive.Files {
		if f.Name == file {
			if err := yaml.UnmarshalStrict(f.Data, into); err != nil {
				t.Fatalf("%s: reading %s: %v", g.path, file, err)
			}
		}
	}
}

// compile runs the whole way from the spec that a person wrote, for the application's cluster and for the one whose istiod
// looks after that.
func (g golden) compile(t testing.TB) []mesh.Object {
	t.Helper()
	in, _ := g.input(t)
	return g.compileInput(t, in)
}

func (g golden) compileInput(t testing.TB, in *input) []mesh.Object {
	t.Helper()
	ok := func(objects []mesh.Object, err error) []mesh.Object {
		if err != nil {
			t.Fatalf("%s: %v", g.path, err)
		}
		return objects
	}
	b := in.Binding
	out := ok(mesh.Root(in.config().Cluster))
	namespaces := map[string]bool{b.Namespace: in.Spec.Adopt()}
	for _, c := range in.callees {
		if _, own := namespaces[c.Service.Namespace]; !own {
			namespaces[c.Service.Namespace] = false
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		out = append(out, ok(mesh.Namespace(mesh.NamespaceInput{Cluster: in.config().Cluster, Namespace: namespace,
			Environment: "prod", Tenant: "retail", Strict: true, Adopt: namespaces[namespace]}))...)
	}
	out = append(out, in.compile(t)...)
	for _, c := range in.callees {
		if c.Service.External != nil {
			objects, _, err := mesh.External(mesh.ExternalInput{Cluster: in.config().Cluster, Service: c.Service, Audience: c.Audience})
			out = append(out, ok(objects, err)...)
			continue
		}
		if !c.Here {
			out = append(out, ok(mesh.Stub(mesh.StubInput{Cluster: in.Cluster, Service: c.Service, Audience: c.Audience}))...)
		}
		objects, _, err := called{Cluster: in.config().Cluster, Service: c.Service, Audience: c.Audience, Sites: c.Sites}.compile()
		out = append(out, ok(objects, err)...)
	}
	parts := map[string][]string{}
	for _, name := range in.exported {
		parts[mesh.GatewayPart(name)] = append(parts[mesh.GatewayPart(name)], name)
	}
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, ok(mesh.Gateway(mesh.GatewayInput{Cluster: in.config().Cluster, Part: part, Exported: parts[part]}))...)
	}
	return out
}

func (g golden) input(t testing.TB) (*input, v1alpha1.ApplicationSpec) {
	t.Helper()
	var in input
	var spec v1alpha1.ApplicationSpec
	g.read(t, "cluster.yaml", &in.Cluster)
	g.read(t, "primary.yaml", &in.primary)
	g.read(t, "binding.yaml", &in.Binding)
	g.read(t, "services.yaml", &in.Services)
	g.read(t, "spec.yaml", &spec)
	in.Policy = open(in.Binding.Namespace, in.Binding.Application)
	g.read(t, "policy.yaml", &in.Policy)
	g.read(t, "audience.yaml", &in.Audience)
	g.read(t, "remotes.yaml", &in.Remotes)
	g.read(t, "locate.yaml", &in.Locate)
	g.read(t, "callees.yaml", &in.callees)
	g.read(t, "exported.yaml", &in.exported)
	in.Spec = decode(t, in.Binding.Namespace, in.Binding.Application, &spec)
	return &in, spec
}

func decode(t testing.TB, namespace, name string, spec *v1alpha1.ApplicationSpec) *mesh.Spec {
	t.Helper()
	content, err := mesh.Normalise(namespace, name, spec)
	if err != nil {
		t.Fatal(err)
	}
	s, err := mesh.Decode(record.Revision{Namespace: namespace, Application: name, Spec: content})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name(), func(t *testing.T) {
			var got txtar.Archive
			got.Comment = g.archive.Comment
			for _, f := range g.archive.Files {
				if strings.HasSuffix(f.Name, ".yaml") {
					got.Files = append(got.Files, f)
				}
			}
			for _, o := range g.compile(t) {
				var indented bytes.Buffer
				if err := json.Indent(&indented, o.Record.Content, "", "  "); err != nil {
					t.Fatalf("%s is not JSON: %v", o.ID, err)
				}
				indented.WriteByte('\n')
				got.Files = append(got.Files, txtar.File{Name: o.ID.String() + "@" + o.Record.Version.String(), Data: indented.Bytes()})
			}
			if *update {
				if err := os.WriteFile(g.path, txtar.Format(&got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(g.archive)), string(txtar.Format(&got))); diff != "" {
				t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", g.path, diff)
			}
		})
	}
}
