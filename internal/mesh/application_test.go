package mesh_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestMarks(t *testing.T) {
	for _, g := range goldens(t) {
		for _, o := range g.compile(t) {
			var live struct {
				APIVersion, Kind string
				Metadata         struct {
					Name, Namespace     string
					Labels, Annotations map[string]string
				}
			}
			if err := json.Unmarshal(o.Record.Content, &live); err != nil {
				t.Fatalf("%s: %v", o.ID, err)
			}
			m := live.Metadata
			group, version, kind := o.ID.Group, o.ID.Version, live.Kind
			if want := strings.TrimPrefix(group+"/"+version, "/"); live.APIVersion != want || kind != o.ID.Kind ||
				m.Name != o.ID.Name || m.Namespace != o.ID.Namespace {
				t.Errorf("%s: the object is %s %s %s/%s", o.ID, live.APIVersion, live.Kind, m.Namespace, m.Name)
			}
			if m.Labels[object.LabelManaged] != object.ManagedValue || m.Annotations[object.AnnotationSelf] != o.ID.String() ||
				m.Annotations[object.AnnotationVersion] != o.Record.Version.String() {
				t.Errorf("%s: labels %v and annotations %v lack a mark", o.ID, m.Labels, m.Annotations)
			}
			if o.Record.Key != o.ID.Key() {
				t.Errorf("%s: record key %s", o.ID, o.Record.Key)
			}
			// The version is the hash of the bytes without it.
			mark := `,"` + object.AnnotationVersion + `":"` + o.Record.Version.String() + `"`
			if got := record.VersionOf(bytes.Replace(o.Record.Content, []byte(mark), nil, 1)); got != o.Record.Version {
				t.Errorf("%s: the bytes without the version hash to %s, want %s", o.ID, got, o.Record.Version)
			}
		}
	}
}

func TestSameBytesEveryTime(t *testing.T) {
	for _, g := range goldens(t) {
		first := g.compile(t)
		for range 50 {
			if diff := cmp.Diff(first, g.compile(t)); diff != "" {
				t.Fatalf("%s: compiled again, it differs (-first +again):\n%s", g.name(), diff)
			}
		}
	}
}

// TestWhatChanges holds each edit to the objects that it may touch.
func TestWhatChanges(t *testing.T) {
	one := int32(7)
	config := raw(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"flags"},"data":{"on":"1"}}`)
	edit := func(f func(*v1alpha1.ApplicationSpec)) func(*testing.T, *input) {
		return func(t *testing.T, in *input) {
			in.Spec = decode(t, "shop", "cart", cartSpec(withResources(config), f))
		}
	}
	none := []string(nil)
	for name, c := range map[string]struct {
		edit func(*testing.T, *input)
		want []string
	}{
		"nothing":             {edit(func(*v1alpha1.ApplicationSpec) {}), none},
		"spec's replicas":     {edit(func(s *v1alpha1.ApplicationSpec) { s.Replicas = &one }), none},
		"placement":           {edit(func(s *v1alpha1.ApplicationSpec) { s.Placement.Mode = v1alpha1.PlacementDuplicated }), none},
		"declared dependency": {edit(func(s *v1alpha1.ApplicationSpec) { s.DependsOn = []v1alpha1.Dependency{{Name: "x"}} }), none},
		"template's unused metadata": {edit(func(s *v1alpha1.ApplicationSpec) {
			s.Template.Name, s.Template.Spec.ServiceAccountName = "x", "cart"
		}), none},
		"image": {edit(func(s *v1alpha1.ApplicationSpec) { s.Template.Spec.Containers[0].Image = "example.com/cart:2" }), []string{"Deployment"}},
		"port":  {edit(func(s *v1alpha1.ApplicationSpec) { s.Ports[0].Port = 81 }), []string{"Service"}},
		"resource": {edit(func(s *v1alpha1.ApplicationSpec) {
			s.Resources[0].Raw = bytes.Replace(config.Raw, []byte(`"1"`), []byte(`"0"`), 1)
		}), []string{"ConfigMap"}},
		"adopt":           {edit(func(s *v1alpha1.ApplicationSpec) { s.Adopt = true }), []string{"ServiceAccount", "ConfigMap", "NetworkPolicy", "AuthorizationPolicy", "Service", "Sidecar", "Deployment"}},
		"replicas":        {func(_ *testing.T, in *input) { in.Binding.Replicas = 3 }, []string{"Deployment"}},
		"revision's name": {func(_ *testing.T, in *input) { in.Binding.Revision = "other" }, none},
		"draining":        {func(_ *testing.T, in *input) { in.Binding.Draining = true }, none},
		"dependency":      {func(_ *testing.T, in *input) { in.Binding.Dependencies = []string{"shop/ads"} }, []string{"Sidecar"}},
		"order":           {func(_ *testing.T, in *input) { slices.Reverse(in.Binding.Dependencies) }, none},
		"platform host": {func(_ *testing.T, in *input) {
			in.Cluster.Mesh.PlatformHosts = []string{"o/h.example.com"}
		}, []string{"NetworkPolicy", "Sidecar"}},
		"cluster's labels": {func(_ *testing.T, in *input) { in.Cluster.Labels = map[string]string{"x": "y"} }, none},
		"another cluster":  {func(_ *testing.T, in *input) { in.Cluster.Name, in.Binding.Cluster = "b", "b" }, none},
		"known dependencies": {func(_ *testing.T, in *input) {
			in.Services = []record.Service{{Namespace: "shop", Application: "cache", Ports: []record.Port{tcpPort("tcp", 11211)}}}
		}, []string{"NetworkPolicy"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := cart(t, withResources(config))
			in.Binding.Dependencies = []string{"shop/cache", "shop/user"}
			before := in.compile(t)
			c.edit(t, in)
			after := in.compile(t)
			if diff := cmp.Diff(idsOf(before), idsOf(after)); diff != "" {
				t.Fatalf("the set of objects changed (-before +after):\n%s", diff)
			}
			var got []string
			for i := range before {
				if !bytes.Equal(before[i].Record.Content, after[i].Record.Content) {
					got = append(got, before[i].ID.Kind)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("changed objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDependenciesAreTheHosts(t *testing.T) {
	label := rapid.StringMatching(`[a-z]([-a-z0-9]{0,8}[a-z0-9])?`)
	dependency := rapid.Custom(func(t *rapid.T) string { return label.Draw(t, "namespace") + "/" + label.Draw(t, "name") })
	with, without := cart(t), cart(t, func(s *v1alpha1.ApplicationSpec) { s.Ports = nil })
	rapid.Check(t, func(rt *rapid.T) {
		in, callable := *without, rapid.Bool().Draw(rt, "callable")
		if callable {
			in = *with
		}
		in.Binding.Dependencies = rapid.SliceOfN(dependency, 0, 30).Draw(rt, "dependencies")
		in.Cluster.Mesh.PlatformHosts = rapid.SliceOfN(dependency, 0, 5).Draw(rt, "platform")
		want, portless := map[string]bool{}, map[string]bool{}
		for _, d := range in.Binding.Dependencies {
			ns, app, _ := strings.Cut(d, "/")
			service := record.Service{Namespace: ns, Application: app}
			switch rapid.SampledFrom([]string{"has ports", "has none", "unknown"}).Draw(rt, d) {
			case "has ports":
				service.Ports = []record.Port{tcpPort("http", 80)}
			case "unknown":
				continue
			}
			portless[d] = portless[d] || service.Ports == nil
			in.Services = append(in.Services, service)
		}
		for _, d := range in.Binding.Dependencies {
			ns, app, _ := strings.Cut(d, "/")
			if !portless[d] && d != "shop/cart" {
				want[ns+"/"+app+"."+ns+".svc.cluster.local"] = true
			}
		}
		for _, h := range in.Cluster.Mesh.PlatformHosts {
			want[h] = true
		}
		if callable {
			want["shop/cart.shop.svc.cluster.local"] = true
		}
		if len(want) == 0 {
			want["~/*"] = true
		}
		objects, err := in.try()
		if err != nil {
			rt.Fatal(err)
		}
		got := hostsOf(t, objects)
		if !slices.IsSorted(got) || len(got) != len(want) || slices.ContainsFunc(got, func(h string) bool { return !want[h] }) {
			rt.Fatalf("hosts %v, want exactly %v", got, want)
		}
	})
}

func TestApplicationRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*input)
		want string
	}{
		"later generation":  {func(in *input) { in.Binding.Generation = 2 }, "unknown compiler generation 2, this release has 1"},
		"no generation":     {func(in *input) { in.Binding.Generation = 0 }, "unknown compiler generation 0"},
		"another's spec":    {func(in *input) { in.Binding.Application = "user" }, "the spec is of shop/cart"},
		"wildcard host":     {func(in *input) { in.Cluster.Mesh.PlatformHosts = []string{"monitoring/*"} }, `"monitoring/*" is not NAMESPACE/HOST`},
		"any namespace":     {func(in *input) { in.Cluster.Mesh.PlatformHosts = []string{"*/a.b"} }, `"*/a.b" is not NAMESPACE/HOST`},
		"host alone":        {func(in *input) { in.Cluster.Mesh.PlatformHosts = []string{"a.b"} }, `"a.b" is not NAMESPACE/HOST`},
		"broken dependency": {func(in *input) { in.Binding.Dependencies = []string{"shop/*"} }, `dependency "shop/*" is not NAMESPACE/APPLICATION`},
		"root namespace":    {func(in *input) { in.Cluster.Mesh.RootNamespace = "shop" }, "shop is the mesh's root namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			in := cart(t)
			c.edit(in)
			_, err := in.try()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			if got := errors.Is(err, mesh.ErrGeneration); got != strings.Contains(name, "generation") {
				t.Errorf("errors.Is(%v, ErrGeneration) = %t", err, got)
			}
		})
	}
}

func TestRoot(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*record.Mesh)
		want []string
	}{
		"platform hosts": {func(m *record.Mesh) { m.PlatformHosts = []string{"z/z.z", "a/a.a", "z/z.z"} }, []string{"./*", "a/a.a", "z/z.z"}},
		"none":           {func(*record.Mesh) {}, []string{"./*"}},
		"switched off":   {func(m *record.Mesh) { m.DefaultSidecar = false }, nil},
		"no mesh":        {func(m *record.Mesh) { m.Dataplane = "None" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := meshed()
			c.edit(&cluster.Mesh)
			objects, err := mesh.Root(cluster)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if len(objects) > 0 {
				got = hostsOf(t, objects)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamespaceRefuses(t *testing.T) {
	for name, in := range map[string]mesh.NamespaceInput{
		"name":        {Namespace: "Shop"},
		"environment": {Namespace: "shop", Environment: "a b"},
		"tenant":      {Namespace: "shop", Tenant: strings.Repeat("x", 64)},
	} {
		if got, err := mesh.Namespace(in); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

func TestDecodeOfBrokenContent(t *testing.T) {
	for name, spec := range map[string]string{"not JSON": "{", "wrong type": `{"ports": 1}`, "nothing to run": `{}`,
		"a field twice": `{"template":{"spec":{"a":1,"containers":[{"image":"a","name":"a"}],"a":1}}}`} {
		if _, err := mesh.Decode(record.Revision{Namespace: "shop", Application: "cart", Spec: []byte(spec)}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, g := range goldens(f) {
		for _, file := range g.archive.Files {
			if file.Name == "spec.yaml" {
				spec, err := yaml.YAMLToJSON(file.Data)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(spec)
			}
		}
	}
	f.Fuzz(func(t *testing.T, spec []byte) {
		s, err := mesh.Decode(record.Revision{Namespace: "shop", Application: "cart", Spec: spec})
		if err != nil {
			return
		}
		objects := idsOf(inputOf(meshed(), bound(1), s).compile(t))
		if diff := cmp.Diff(needed(s.IDs(), objects), objects); diff != "" {
			t.Fatalf("objects differ from the claims (-claims +objects):\n%s", diff)
		}
	})
}
