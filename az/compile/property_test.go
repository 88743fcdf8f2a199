package compile_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// TestIncrementalEqualsFromScratch edits random worlds at random, lets some records arrive late, takes clusters over and
// gives them up, and holds what follows from the edits against what is compiled from scratch, whenever all references are
// there. At no time does an AuthorizationPolicy let in whom the policy that has arrived does not name.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		w := smallWorld(t)
		z := newZone(t, "z")
		defer z.store.Close()
		z.set(w)
		z.own(rapid.SliceOfNDistinct(rapid.SampledFrom(zoneClusters), 1, 3, rapid.ID[string]).Draw(t, "owned")...)
		stale := map[string]time.Time{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			for range rapid.IntRange(1, 3).Draw(t, "edits") {
				edit(t, w, z, stale)
			}
			z.write(arrivals(t, z, w, stale)...)
			if err := checkReach(z); err != nil {
				t.Fatal(err)
			}
			if compareWithScratch(t, z) {
				compared++
			}
		}
	})
	if compared == 0 {
		t.Error("nothing was ever compared: references are always missing")
	}
}

var (
	zoneClusters = []string{"c1", "c2", "c3"}
	allClusters  = []string{"c1", "c2", "c3", "r1", "r2"}
	someAllowed  = [][]string{nil, {"m"}, {"o"}, {"m", "n", "o"}}
	someNames    = []string{"m/a", "m/b", "n/c", "n/d", "o/e"}
	someExternal = []string{"m/x.external", "p/y.external"}
)

// smallWorld has three clusters in zone z, and one on a network of its own and one on theirs in another.
func smallWorld(t *rapid.T) *graphtest.World {
	w := &graphtest.World{Clusters: map[string]record.Cluster{}, Applications: map[string]*graphtest.Application{}}
	for _, name := range zoneClusters {
		c := graphtest.Cluster(name, "z", "west", "n1")
		if name != "c1" {
			c.Mesh.Primary = rapid.SampledFrom([]string{"", "c1"}).Draw(t, "primary")
		}
		w.Clusters[name] = c
	}
	w.Clusters["r1"] = graphtest.Cluster("r1", "y", "west", "n2")
	w.Clusters["r2"] = graphtest.Cluster("r2", "y", "west", "n1")
	for range rapid.IntRange(0, 5).Draw(t, "applications") {
		place(t, w)
	}
	for range rapid.IntRange(0, 2).Draw(t, "externals") {
		outside(t, w)
	}
	w.Allow()
	return w
}

// outside adds an ExternalService, changes one, or takes one away. Some cannot be compiled, and some wait for an address.
func outside(t *rapid.T, w *graphtest.World) {
	id := rapid.SampledFrom(someExternal).Draw(t, "which external")
	if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
		delete(w.Externals, id)
		return
	}
	e := &graphtest.External{Namespace: id[:1], Name: id[2:3], Ports: []record.Port{{Name: "main", Port: 80, TargetPort: 80, Protocol: "TCP",
		AppProtocol: rapid.SampledFrom([]string{"http", "mysql"}).Draw(t, "protocol")}}}
	e.Hosts = rapid.SampledFrom([][]string{{"a.example"}, {"b.example"}, {"a.example", "b.example"}, {"*"}}).Draw(t, "hosts")
	e.Address = rapid.SampledFrom([]string{"", "10.250.0.1"}).Draw(t, "address")
	e.Endpoints = rapid.SampledFrom([][]record.ExternalEndpoint{nil, {{Address: "198.51.100.1"}}, {{Address: "198.51.100.2", Region: "west"}},
		{{Address: "broken"}}}).Draw(t, "endpoints")
	e.TLS = rapid.SampledFrom([]*record.ExternalTLS{nil, {}, {CredentialName: "client"}, {CredentialName: "client", Mutual: true}}).Draw(t, "tls")
	w.AddExternal(e)
}

// place adds an application, or gives it other clusters, dependencies and so on.
func place(t *rapid.T, w *graphtest.World) {
	id := rapid.SampledFrom(someNames).Draw(t, "application")
	a := &graphtest.Application{Namespace: id[:1], Name: id[2:], Image: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "image"),
		Clusters: map[string]int32{}, Allowed: rapid.SampledFrom(someAllowed).Draw(t, "allowed")}
	if rapid.IntRange(0, 4).Draw(t, "ports") > 0 {
		a.Ports = graphtest.HTTP()
	}
	for _, c := range rapid.SliceOfNDistinct(rapid.SampledFrom(allClusters), 0, 3, rapid.ID[string]).Draw(t, "clusters") {
		a.Clusters[c] = rapid.Int32Range(1, 3).Draw(t, "replicas")
	}
	a.Dependencies = rapid.SliceOfNDistinct(rapid.SampledFrom(someNames), 0, 3, rapid.ID[string]).Draw(t, "dependencies")
	a.Dependencies = slices.DeleteFunc(a.Dependencies, func(d string) bool { return d == id })
	a.Dependencies = append(a.Dependencies, rapid.SliceOfNDistinct(rapid.SampledFrom(someExternal), 0, 2, rapid.ID[string]).Draw(t, "external")...)
	w.Add(a)
}

// edit makes one random change.
func edit(t *rapid.T, w *graphtest.World, z *zone, stale map[string]time.Time) {
	ids := w.IDs()
	kind := rapid.IntRange(0, 14).Draw(t, "kind")
	if len(ids) == 0 && kind < 13 {
		kind = 0
	}
	some := func() *graphtest.Application { return w.Applications[rapid.SampledFrom(ids).Draw(t, "which")] }
	switch kind {
	case 0, 1, 2:
		place(t, w)
	case 3:
		delete(w.Applications, some().ID())
	case 4, 5:
		a := some()
		for _, c := range slices.Sorted(maps.Keys(a.Clusters)) {
			a.Ready[c] = rapid.SampledFrom([]int32{0, 1, 2, 150}).Draw(t, "ready")
		}
		a.Broken = rapid.Bool().Draw(t, "broken")
	case 6, 10:
		name := rapid.SampledFrom(allClusters).Draw(t, "cluster")
		w.Clusters[name] = reshape(t, w.Clusters[name])
	case 11, 12:
		respecify(t, some())
	case 13, 14:
		outside(t, w)
	case 7:
		stale[rapid.SampledFrom(allClusters).Draw(t, "stale")] = z.now
	case 8:
		z.now = z.now.Add(40 * time.Second)
		z.follow(z.compiler.Age(z.now))
		clear(stale)
	case 9:
		name := rapid.SampledFrom(zoneClusters).Draw(t, "cluster")
		if z.held[name] != nil {
			z.disown(name)
		} else {
			z.own(name)
		}
	}
}

// respecify changes what an application runs and who may call it, where it is.
func respecify(t *rapid.T, a *graphtest.Application) {
	a.Image = rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "image")
	a.Allowed = rapid.SampledFrom(someAllowed).Draw(t, "allowed")
}

func reshape(t *rapid.T, c record.Cluster) record.Cluster {
	switch rapid.IntRange(0, 4).Draw(t, "shape") {
	case 0:
		c.Mesh.Dataplane = rapid.SampledFrom([]string{"Sidecar", "None"}).Draw(t, "dataplane")
	case 1:
		c.Network = rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "network")
	case 2:
		c.Mesh.Gateway.Addresses = rapid.SampledFrom([][]string{nil, {"192.0.2.1"}, {"192.0.2.1", "192.0.2.2"}}).Draw(t, "gateway")
	case 3:
		c.Mesh.DefaultSidecar = !c.Mesh.DefaultSidecar
	default:
		if c.Zone == "z" && c.Name != "c1" {
			c.Mesh.Primary = rapid.SampledFrom([]string{"", "c1"}).Draw(t, "primary")
		}
	}
	return c
}

// arrivals are writes that bring the zone's store towards the world; each may be late, but clusters and bindings are not.
func arrivals(t *rapid.T, z *zone, w *graphtest.World, stale map[string]time.Time) []store.Write {
	var out []store.Write
	late := rapid.IntRange(0, 3).Draw(t, "late") == 0
	arrives := func(key record.Key) bool {
		return !late || key.Kind == record.KindCluster || key.Kind == record.KindBinding || rapid.Bool().Draw(t, "arrives")
	}
	snapshot, keep := z.store.Snapshot(), map[record.Key]bool{}
	for _, r := range w.Zone("z") {
		keep[r.Key] = true
		if r.Key.Kind == record.KindPlace {
			p, _ := record.DecodePlace(r)
			p.StaleSince = stale[p.Cluster]
			r = p.Record()
		}
		if e, ok := snapshot.Get(r.Key); (!ok || e.Version != r.Version) && arrives(r.Key) {
			out = append(out, put(r))
		}
	}
	for e := range snapshot.Entries() {
		if !keep[e.Key] && arrives(e.Key) {
			out = append(out, drop(e.Key, record.CausePerson))
		}
	}
	return out
}

// compareWithScratch tells whether it could compare every cluster that is owned.
func compareWithScratch(t *rapid.T, z *zone) bool {
	scratch, compiler := z.scratch()
	all := len(z.held) > 0
	for cluster := range z.held {
		whole := z.compiler.Whole(cluster)
		apps := map[string]string{}
		for _, a := range whole.Applications {
			apps[a.Name()] = fmt.Sprintf("%+v", a)
		}
		told := map[string]string{}
		for name, a := range z.apps[cluster] {
			told[name] = fmt.Sprintf("%+v", a)
		}
		if !reflect.DeepEqual(told, apps) {
			t.Fatalf("cluster %s: the applications are told as\n%v\nand are\n%v", cluster, told, apps)
		}
		if !scratch[cluster].Complete {
			all = false
			continue
		}
		compareHeld(t, cluster, z.held[cluster], scratch[cluster])
		if got, want := fmt.Sprintf("%+v", whole.Applications), fmt.Sprintf("%+v", compiler.Whole(cluster).Applications); got != want {
			t.Fatalf("cluster %s: the applications are\n%s\nwant\n%s", cluster, got, want)
		}
	}
	return all
}

// TestStoreSetIsUpdate holds the fixture's assumption: an update has each change once.
func TestStoreSetIsUpdate(t *testing.T) {
	s, err := graphtest.NewStore()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := graphtest.Generate(graphtest.Graph{Applications: 300, Namespaces: 20, Clusters: []record.Cluster{graphtest.Cluster("c1", "z", "west", "n1")}})
	records := w.Zone("z")
	u, err := s.Set(context.Background(), records)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Changes) != len(records) {
		t.Errorf("the update has %d changes of %d records", len(u.Changes), len(records))
	}
}
