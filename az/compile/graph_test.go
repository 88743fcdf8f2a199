package compile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/samples"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// federation is the zones of a world.
type federation struct {
	t     *testing.T
	world *graphtest.World
	zones map[string]*zone
}

func federate(t *testing.T, w *graphtest.World) *federation {
	t.Helper()
	f := &federation{t: t, world: w, zones: map[string]*zone{}}
	members := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(w.Clusters)) {
		members[w.Clusters[name].Zone] = append(members[w.Clusters[name].Zone], name)
	}
	for name, clusters := range members {
		f.zones[name] = startZone(t, w, name, clusters...)
		t.Cleanup(f.zones[name].store.Close)
	}
	return f
}

// step brings all zones to what the world is now, and returns what changed by cluster.
func (f *federation) step() map[string][]string {
	f.t.Helper()
	out := map[string][]string{}
	for _, z := range f.zones {
		for cluster, s := range z.set(f.world) {
			if c := changes(s); len(c) > 0 {
				out[cluster] = c
			}
		}
	}
	return out
}

func (f *federation) held(cluster string) held {
	return f.zones[f.world.Clusters[cluster].Zone].held[cluster]
}

// clusters are two networks of two: west is one zone whose clusters share pod addresses and have an istiod each, east one
// whose clusters share an istiod.
func fourClusters() []record.Cluster {
	w1, w2 := graphtest.Cluster("w1", "west", "us", "n1"), graphtest.Cluster("w2", "west", "us", "n1")
	e1, e2 := graphtest.Cluster("e1", "east", "us", "n2"), graphtest.Cluster("e2", "east", "us", "n2")
	e2.Mesh.Primary = "e1"
	return []record.Cluster{w1, w2, e1, e2}
}

// worlds are those that the tests below hold for.
func worlds(t *testing.T) map[string]*graphtest.World {
	return map[string]*graphtest.World{
		"bookinfo": sampleWorld(t, "bookinfo"),
		"shop":     sampleWorld(t, "shop"),
		"1000 applications": graphtest.Generate(graphtest.Graph{Applications: 1000, Namespaces: 200, Clusters: fourClusters(),
			Twice: 0.3, Seed: 1}),
	}
}

// sampleWorld deals a sample's applications to the four clusters in turn, so that callers and callees are in different ones.
func sampleWorld(t *testing.T, name string) *graphtest.World {
	t.Helper()
	w := &graphtest.World{Clusters: map[string]record.Cluster{}, Applications: map[string]*graphtest.Application{}}
	clusters := fourClusters()
	for _, c := range clusters {
		w.Clusters[c.Name] = c
	}
	for _, document := range samples.Documents() {
		var a v1alpha1.Application
		if err := yaml.Unmarshal(document, &a); err != nil {
			t.Fatal(err)
		}
		if a.Kind == "Application" && (a.Namespace == "bookinfo") == (name == "bookinfo") {
			addSample(w, a, clusters[len(w.Applications)%len(clusters)].Name)
		}
	}
	if len(w.Applications) < 4 {
		t.Fatalf("sample %s has %d applications", name, len(w.Applications))
	}
	w.Allow()
	return w
}

func addSample(w *graphtest.World, a v1alpha1.Application, cluster string) {
	out := &graphtest.Application{Namespace: a.Namespace, Name: a.Name, Clusters: map[string]int32{cluster: 2}}
	for _, p := range a.Spec.Ports {
		out.Ports = append(out.Ports, record.Port{Name: p.Name, Port: p.Port, TargetPort: max(p.TargetPort, p.Port), Protocol: "TCP",
			AppProtocol: p.AppProtocol})
	}
	for _, d := range a.Spec.DependsOn {
		dependency := d.Namespace
		if dependency == "" {
			dependency = a.Namespace
		}
		out.Dependencies = append(out.Dependencies, record.ServiceName(dependency, d.Name))
	}
	w.Add(out)
}

// TestScopes holds every Sidecar against exactly the resolved dependencies, and every exportTo against its rule.
func TestScopes(t *testing.T) {
	for name, w := range worlds(t) {
		t.Run(name, func(t *testing.T) {
			f := federate(t, w)
			checkScopes(t, f)
			// A dependency that goes shrinks both.
			for _, id := range w.IDs() {
				if a := w.Applications[id]; len(a.Dependencies) > 0 {
					a.Undepend(a.Dependencies[0])
					f.step()
					checkScopes(t, f)
					return
				}
			}
		})
	}
}

func checkScopes(t *testing.T, f *federation) {
	t.Helper()
	for name, cluster := range f.world.Clusters {
		objects := f.held(name)
		if cluster.Mesh.Primary == "" {
			extra, missing, err := f.world.CompareSidecars(name, maps.Values(objects))
			if err != nil || extra > 0 || missing > 0 {
				t.Errorf("cluster %s: the Sidecars have %d hosts too many and %d too few (%v)", name, extra, missing, err)
			}
		}
		for key, r := range objects {
			id, _ := object.FromKey(key)
			got, kind := exportToOf(t, id, r.Content)
			if !kind {
				continue
			}
			provider := f.world.Applications[record.ServiceName(id.Namespace, labelOf(t, r.Content))]
			if want := exportToBy(f.world, provider, cluster, id.Kind); !slices.Equal(got, want) {
				t.Errorf("cluster %s: %s is exported to %q, want %q", name, id.Short(), got, want)
			}
		}
	}
}

// exportToBy is the rule: its own namespace and those of its callers, past 50 everybody; of a Service also the gateway's
// where it is called from other networks.
func exportToBy(w *graphtest.World, provider *graphtest.Application, cluster record.Cluster, kind string) []string {
	namespaces, abroad := map[string]bool{}, false
	for _, a := range w.Applications {
		if !slices.Contains(a.Dependencies, provider.ID()) {
			continue
		}
		namespaces[a.Namespace] = true
		for c := range a.Clusters {
			for _, other := range w.Clusters {
				abroad = abroad || other.Zone == w.Clusters[c].Zone && other.Network != cluster.Network
			}
		}
	}
	if len(namespaces) > record.MaxAudience {
		return []string{"*"}
	}
	delete(namespaces, provider.Namespace)
	namespaces["."] = true
	if abroad && kind == "Service" {
		namespaces[cluster.Mesh.Gateway.Namespace] = true
	}
	return slices.Sorted(maps.Keys(namespaces))
}

func exportToOf(t *testing.T, id object.ID, content []byte) (list []string, ok bool) {
	t.Helper()
	var o struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			ExportTo []string `json:"exportTo"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(content, &o); err != nil {
		t.Fatal(err)
	}
	switch id.Kind {
	case "Service":
		list = strings.Split(o.Metadata.Annotations["networking.istio.io/exportTo"], ",")
	case "DestinationRule", "ServiceEntry":
		list = o.Spec.ExportTo
	default:
		return nil, false
	}
	slices.Sort(list)
	return list, true
}

func labelOf(t *testing.T, content []byte) string {
	t.Helper()
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(content, &o); err != nil {
		t.Fatal(err)
	}
	return o.Metadata.Labels[object.LabelApplication]
}

// TestCountChangesOneObject changes the number of ready pods of every called application in turn: every other istiod that
// calls it has exactly one object changed, nobody else any, and without pods the object goes and comes back.
func TestCountChangesOneObject(t *testing.T) {
	for name, w := range worlds(t) {
		t.Run(name, func(t *testing.T) {
			f := federate(t, w)
			callers := w.Callers()
			tried := 0
			for _, id := range w.IDs() {
				a := w.Applications[id]
				if len(callers[id]) == 0 || len(a.Clusters) != 1 || tried == 10 {
					continue
				}
				home := w.Clusters[slices.Sorted(maps.Keys(a.Clusters))[0]]
				want := consumers(w, callers[id], home)
				if len(want) == 0 {
					continue
				}
				tried++
				pods := a.Ready[home.Name]
				for _, s := range []struct {
					ready int32
					sign  string
				}{{pods + 3, "+"}, {0, "-"}, {pods, "+"}} {
					a.Ready[home.Name] = s.ready
					checkOneEach(t, f, fmt.Sprintf("%s has %d ready", id, s.ready), s.sign, want, f.step())
				}
			}
			if tried == 0 {
				t.Error("nothing is called from elsewhere")
			}
		})
	}
}

// consumers are the istiods' clusters that reach an application in a cluster by objects, with the kind of these.
func consumers(w *graphtest.World, callers []*graphtest.Application, home record.Cluster) map[string]string {
	out := map[string]string{}
	istiod := func(c record.Cluster) string {
		if c.Mesh.Primary != "" {
			return c.Mesh.Primary
		}
		return c.Name
	}
	for _, caller := range callers {
		for name := range caller.Clusters {
			at := w.Clusters[istiod(w.Clusters[name])]
			switch {
			case at.Name == istiod(home):
			case at.Network == home.Network:
				out[at.Name] = "ServiceEntry"
			default:
				out[at.Name] = "WorkloadEntry"
			}
		}
	}
	return out
}

func checkOneEach(t *testing.T, f *federation, what, sign string, want map[string]string, got map[string][]string) {
	t.Helper()
	for cluster, kind := range want {
		if c := got[cluster]; len(c) != 1 || !strings.HasPrefix(c[0], sign+kind+" ") {
			t.Errorf("%s: cluster %s has changed %q, want one %s%s", what, cluster, c, sign, kind)
		}
	}
	for cluster, c := range got {
		if want[cluster] == "" {
			t.Errorf("%s: cluster %s has changed %q, want nothing", what, cluster, c)
		}
	}
}

// TestUndependChangesWhatItMust takes dependencies away. What is written is the consumer's Sidecar and NetworkPolicy where it
// runs, and what the provider's visibility and being called there hang on; edits that leave an object as it was fail the
// fixture.
func TestUndependChangesWhatItMust(t *testing.T) {
	w := worlds(t)["1000 applications"]
	f := federate(t, w)
	tried := 0
	for _, id := range w.IDs() {
		a := w.Applications[id]
		if len(a.Dependencies) == 0 || tried == 15 {
			continue
		}
		tried++
		provider := w.Applications[a.Dependencies[tried%len(a.Dependencies)]]
		a.Undepend(provider.ID())
		own := []string{"+Sidecar " + id, "+NetworkPolicy " + id}
		sidecars := 0
		for cluster, list := range f.step() {
			for _, c := range list {
				if strings.HasPrefix(c, "+Sidecar") {
					sidecars++
				}
				if !slices.Contains(own, c) && !ofProvider(c, provider, w.Clusters[cluster]) {
					t.Errorf("%s no longer calls %s: cluster %s has changed %s", id, provider.ID(), cluster, c)
				}
			}
		}
		istiods := map[string]bool{}
		for c := range a.Clusters {
			istiods[w.Clusters[c].Mesh.Primary+w.Clusters[c].Zone] = true
		}
		if sidecars == 0 || sidecars > len(a.Clusters) {
			t.Errorf("%s no longer calls %s: %d Sidecars changed, want one under each istiod of %v", id, provider.ID(), sidecars, a.Clusters)
		}
	}
}

// ofProvider tells whether a change is of how a provider is seen: its Service, its NetworkPolicy, its objects for callers, its
// Namespace where nothing else needs that, and the list of what the cluster's gateway exports.
func ofProvider(change string, provider *graphtest.Application, cluster record.Cluster) bool {
	sign, what := change[:1], strings.Fields(change[1:])
	id := provider.ID()
	switch what[0] {
	case "Service", "NetworkPolicy", "DestinationRule":
		return what[1] == id
	case "ServiceEntry", "WorkloadEntry":
		return strings.HasPrefix(what[1], id+"-")
	case "Namespace":
		return sign == "-" && what[1] == provider.Namespace
	case "Gateway":
		return what[1] == cluster.Mesh.Gateway.Namespace+"/meridian-eastwest"
	default:
		return false
	}
}
