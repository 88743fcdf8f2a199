package compile_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/samples"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/mesh"
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
		"externals": graphtest.Generate(graphtest.Graph{Applications: 200, Namespaces: 40, Clusters: fourClusters(), Twice: 0.3,
			Externals: 10, Seed: 3}),
		oneGateway: graphtest.Generate(graphtest.Graph{Applications: 200, Namespaces: 40, Clusters: behindOneGateway(), Twice: 0.5, Seed: 2}),
	}
}

// oneGateway names the world of behindOneGateway.
const oneGateway = "one gateway for two clusters"

// behindOneGateway are four clusters with an istiod each, of which both in the east are reached at one address.
func behindOneGateway() []record.Cluster {
	clusters := fourClusters()
	clusters[3].Mesh.Primary, clusters[3].Mesh.Gateway.Addresses = "", clusters[2].Mesh.Gateway.Addresses
	return clusters
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
		if d.Kind == v1alpha1.DependencyExternalService {
			continue
		}
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
			if diff := gocmp.Diff(exportedBy(f.world, name), gatewaysOf(t, objects)); diff != "" {
				t.Errorf("cluster %s: hosts of the gateway by part (-want +got):\n%s", name, diff)
			}
		}
		for key, r := range objects {
			id, _ := object.FromKey(key)
			got, kind := exportToOf(t, id, r.Content)
			if !kind {
				continue
			}
			want := []string{id.Namespace}
			if !strings.Contains(id.Name, ".calls-") {
				want = exportToBy(f.world, id.Namespace, labelOf(t, r.Content), cluster, id.Kind)
			}
			if !slices.Equal(got, want) {
				t.Errorf("cluster %s: %s is exported to %q, want %q", name, id.Short(), got, want)
			}
		}
	}
}

// exportToBy is the rule: its own namespace and those of its callers, past 50 everybody; of a Service also the gateway's
// where it is called from other networks. What an application needs for its own calls alone is its own namespace's.
func exportToBy(w *graphtest.World, namespace, name string, cluster record.Cluster, kind string) []string {
	provider, namespaces := record.ServiceName(namespace, name), map[string]bool{}
	for _, a := range w.Applications {
		if slices.Contains(a.Dependencies, provider) {
			namespaces[a.Namespace] = true
		}
	}
	if len(namespaces) > record.MaxAudience {
		return []string{"*"}
	}
	delete(namespaces, namespace)
	namespaces["."] = true
	if kind == "Service" && calledAbroad(w, provider, cluster.Network) {
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

// TestCountChangesOneObject changes the number of ready pods of called applications in turn: every other istiod that calls
// one has exactly one object changed, nobody else any. Without pods the object goes and comes back, unless others are
// behind the same address.
func TestCountChangesOneObject(t *testing.T) {
	for name, w := range worlds(t) {
		t.Run(name, func(t *testing.T) {
			f := federate(t, w)
			callers := w.Callers()
			tried := map[int]int{} // by the number of clusters
			for _, id := range w.IDs() {
				a := w.Applications[id]
				clusters := slices.Sorted(maps.Keys(a.Clusters))
				if tried[len(clusters)] == 10 || !oneAddress(w, clusters) {
					continue
				}
				home := w.Clusters[clusters[0]]
				if len(consumers(w, callers[id], home)) == 0 {
					continue
				}
				tried[len(clusters)]++
				pods := a.Ready[home.Name]
				for _, ready := range []int32{pods + 3, 0, pods} {
					a.Ready[home.Name] = ready
					want := consumers(w, callers[id], home)
					for istiod, kind := range want {
						gone := ready == 0 && (kind == "ServiceEntry" || len(clusters) == 1)
						want[istiod] = map[bool]string{true: "-", false: "+"}[gone] + kind
					}
					checkOneEach(t, fmt.Sprintf("%s has %d ready in %s", id, ready, home.Name), want, f.step())
				}
			}
			if tried[1] == 0 || name == oneGateway && tried[2] == 0 {
				t.Errorf("tried %v applications by their number of clusters, want some of each", tried)
			}
		})
	}
}

// oneAddress tells whether clusters, one at least, are all behind the same gateway.
func oneAddress(w *graphtest.World, clusters []string) bool {
	for _, c := range clusters {
		if !slices.Equal(w.Clusters[c].Mesh.Gateway.Addresses, w.Clusters[clusters[0]].Mesh.Gateway.Addresses) {
			return false
		}
	}
	return len(clusters) > 0
}

func istiodOf(c record.Cluster) string { return cmp.Or(c.Mesh.Primary, c.Name) }

// consumers are the istiods' clusters that reach an application in a cluster by objects, with the kind of these.
func consumers(w *graphtest.World, callers []*graphtest.Application, home record.Cluster) map[string]string {
	out := map[string]string{}
	for _, caller := range callers {
		for name := range caller.Clusters {
			at := w.Clusters[istiodOf(w.Clusters[name])]
			switch {
			case at.Name == istiodOf(home):
			case at.Network == home.Network:
				out[at.Name] = "ServiceEntry"
			default:
				out[at.Name] = "WorkloadEntry"
			}
		}
	}
	return out
}

func checkOneEach(t *testing.T, what string, want map[string]string, got map[string][]string) {
	t.Helper()
	for cluster, edit := range want {
		if c := got[cluster]; len(c) != 1 || !strings.HasPrefix(c[0], edit+" ") {
			t.Errorf("%s: cluster %s has changed %q, want one %s", what, cluster, c, edit)
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
		var sidecars, want []string
		for cluster, list := range f.step() {
			for _, c := range list {
				if c == own[0] {
					sidecars = append(sidecars, cluster)
				}
				if !slices.Contains(own, c) && !ofProvider(w, c, provider, cluster) {
					t.Errorf("%s no longer calls %s: cluster %s has changed %s", id, provider.ID(), cluster, c)
				}
			}
		}
		for c := range a.Clusters {
			want = append(want, istiodOf(w.Clusters[c]))
		}
		slices.Sort(sidecars)
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(sidecars, want) {
			t.Errorf("%s no longer calls %s: its Sidecar changed in %v, want once in each of %v", id, provider.ID(), sidecars, want)
		}
	}
}

// ofProvider tells whether a change is of how a provider is seen: its Service, its NetworkPolicy, its objects for callers, its
// Namespace where nothing else needs that, and the list of what the cluster's gateway exports. What callers need goes only
// where none of them is left.
func ofProvider(w *graphtest.World, change string, provider *graphtest.Application, cluster string) bool {
	gone, what := change[0] == '-', strings.Fields(change[1:])
	id := provider.ID()
	switch what[0] {
	case "NetworkPolicy": // that of pods with a proxy goes when nobody calls from elsewhere
		return what[1] == id && !gone || what[1] == id+".proxied"
	case "Service":
		return what[1] == id && (!gone || provider.Clusters[cluster] == 0 && !calledAt(w, id, cluster))
	case "DestinationRule":
		return what[1] == id && (!gone || !calledAt(w, id, cluster))
	case "ServiceEntry":
		return strings.HasPrefix(what[1], id+"-") && (!gone || !calledAt(w, id, cluster))
	case "WorkloadEntry": // which is exported to nobody in particular
		return strings.HasPrefix(what[1], id+"-") && gone && !calledAt(w, id, cluster)
	case "Namespace":
		return gone && what[1] == provider.Namespace
	case "Gateway":
		part := mesh.GatewayPart(id)
		return what[1] == w.Clusters[cluster].Mesh.Gateway.Namespace+"/meridian-eastwest-"+part && gone == (exportedBy(w, cluster)[part] == nil)
	default:
		return false
	}
}

// calledAt tells whether an application is called in a cluster, or in one that the cluster's istiod configures.
func calledAt(w *graphtest.World, id, cluster string) bool {
	for _, caller := range w.Callers()[id] {
		for c := range caller.Clusters {
			if c == cluster || istiodOf(w.Clusters[c]) == cluster {
				return true
			}
		}
	}
	return false
}
