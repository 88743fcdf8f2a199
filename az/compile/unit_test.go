package compile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// newWorld has two clusters of zone z, near each other, and one far away.
func newWorld() *graphtest.World {
	w := &graphtest.World{Clusters: map[string]record.Cluster{}, Applications: map[string]*graphtest.Application{}}
	for _, c := range []record.Cluster{graphtest.Cluster("c1", "z", "west", "n1"), graphtest.Cluster("c2", "z", "west", "n1"),
		graphtest.Cluster("far", "y", "west", "n2")} {
		c.Mesh.DefaultSidecar = false
		w.Clusters[c.Name] = c
	}
	return w
}

// runs adds an application with one port.
func runs(w *graphtest.World, id string, clusters []string, dependencies ...string) *graphtest.Application {
	namespace, name, _ := strings.Cut(id, "/")
	a := &graphtest.Application{Namespace: namespace, Name: name, Ports: graphtest.HTTP(), Dependencies: dependencies,
		Clusters: map[string]int32{}}
	for _, c := range clusters {
		a.Clusters[c] = 2
	}
	return w.Add(a)
}

func short(list []string) string {
	var out []string
	for _, c := range list {
		out = append(out, strings.Fields(c)[0])
	}
	return strings.Join(out, " ")
}

// TestCauses shows what a change of a binding removes, in which order, and why.
func TestCauses(t *testing.T) {
	w := newWorld()
	plain := w.Clusters["c1"]
	plain.Mesh.Dataplane = "None"
	w.Clusters["c1"] = plain
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	a := &graphtest.Application{Namespace: "n", Name: "a", Ports: graphtest.HTTP(), Clusters: map[string]int32{"c1": 1}}
	w.Add(a)
	binding := record.BindingKey("n", "a", "c1")
	steps := []struct {
		name string
		do   func() map[string]*compile.Shift
		want []string
	}{
		{"placed", func() map[string]*compile.Shift { return z.set(w) },
			[]string{"+Namespace n", "+ServiceAccount n/a", "+NetworkPolicy n/a", "+Service n/a", "+Deployment n/a"}},
		{"spec changed", func() map[string]*compile.Shift { a.Ports = nil; return z.set(w) },
			[]string{"-Service n/a (person)"}},
		{"moved away", func() map[string]*compile.Shift { return z.write(drop(binding, record.CauseScope)) },
			[]string{"-Deployment n/a (scope)", "-NetworkPolicy n/a (scope)", "-ServiceAccount n/a (scope)", "-Namespace n (scope)"}},
		{"placed again", func() map[string]*compile.Shift { return z.set(w) },
			[]string{"+Namespace n", "+ServiceAccount n/a", "+NetworkPolicy n/a", "+Deployment n/a"}},
		{"deleted", func() map[string]*compile.Shift { return z.write(drop(binding, record.CausePerson)) },
			[]string{"-Deployment n/a (person)", "-NetworkPolicy n/a (person)", "-ServiceAccount n/a (person)", "-Namespace n (person)"}},
	}
	for _, s := range steps {
		if got := changes(s.do()["c1"]); !slices.Equal(got, s.want) {
			t.Errorf("%s: got %q, want %q", s.name, got, s.want)
		}
	}
}

// TestKeepsLastGood takes away, one after another, what an application is compiled from: what runs stays and a problem says
// why, and a shard that finds the cluster so removes nothing in it.
func TestKeepsLastGood(t *testing.T) {
	newRevision := func(w *graphtest.World) []store.Write {
		a := *w.Applications["n/a"]
		a.Image = "2"
		b, _ := record.DecodeBinding(find(w, record.BindingKey("n", "a", "c1")))
		b.Revision = a.Revision().Version.String()
		return []store.Write{put(b.Record())}
	}
	newGeneration := func(w *graphtest.World) []store.Write {
		b, _ := record.DecodeBinding(find(w, record.BindingKey("n", "a", "c1")))
		b.Generation = 99
		return []store.Write{put(b.Record())}
	}
	tests := map[string]struct {
		writes func(w *graphtest.World) []store.Write
		reason string
	}{
		"revision missing":   {newRevision, "RevisionMissing"},
		"generation unknown": {newGeneration, "CompileFailed"},
		"policy missing": {func(*graphtest.World) []store.Write {
			return []store.Write{drop(record.PolicyKey("n", "a"), record.CauseFound)}
		}, "PolicyMissing"},
		"policy of another environment": {func(w *graphtest.World) []store.Write {
			p, _ := record.DecodePolicy(find(w, record.PolicyKey("n", "a")))
			p.Environment = "elsewhere"
			return []store.Write{put(p.Record())}
		}, "PolicyMissing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			runs(w, "n/a", []string{"c1"})
			z := startZone(t, w, "z", "c1")
			defer z.store.Close()
			s := z.write(tt.writes(w)...)["c1"]
			if len(s.Edits) > 0 || !s.Complete {
				t.Errorf("got edits %q, complete %v; want none, and what is known stays complete", changes(s), s.Complete)
			}
			if a := z.apps["c1"]["n/a"]; a.Current || len(a.Problems) != 1 || a.Problems[0].Reason != tt.reason {
				t.Errorf("the application is told as %+v, want the problem %s", a, tt.reason)
			}
			if scratch, _ := z.scratch(); scratch["c1"].Complete {
				t.Error("a compiler that never had it calls the cluster complete")
			}
			z.set(w)
			if a := z.apps["c1"]["n/a"]; !a.Current || len(a.Problems) > 0 {
				t.Errorf("all has arrived, and the application is told as %+v", a)
			}
		})
	}
}

func find(w *graphtest.World, key record.Key) record.Record {
	for _, r := range w.Zone("z") {
		if r.Key == key {
			return r
		}
	}
	return record.Record{}
}

// TestFreshUnitWaitsForItsPolicy shows that nothing of an application is in the cluster before who may call it is known.
func TestFreshUnitWaitsForItsPolicy(t *testing.T) {
	w := newWorld()
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	runs(w, "n/a", []string{"c1"})
	policy := find(w, record.PolicyKey("n", "a"))
	var writes []store.Write
	for _, r := range w.Zone("z") {
		if r.Key != policy.Key {
			writes = append(writes, put(r))
		}
	}
	if got := changes(z.write(writes...)["c1"]); len(got) > 0 {
		t.Errorf("without its policy, c1 was given %q", got)
	}
	got := short(changes(z.write(put(policy))["c1"]))
	if want := "+Namespace +ServiceAccount +NetworkPolicy +AuthorizationPolicy +PeerAuthentication +Service +Sidecar +Deployment"; got != want {
		t.Errorf("with its policy, c1 was given %s, want %s", got, want)
	}
}

// TestStubBecomesReal has an application come to a cluster that called it, and go again: its Service and its Namespace are
// never removed, and its Service stays until the workload is compiled.
func TestStubBecomesReal(t *testing.T) {
	w := newWorld()
	runs(w, "n/web", []string{"c1"}, "o/cart")
	cart := runs(w, "o/cart", []string{"far"})
	w.Allow()
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	key := object.ID{Version: "v1", Kind: "Service", Namespace: "o", Name: "cart"}.Key()
	if z.held["c1"][key] == nil {
		t.Fatal("c1 has no Service of what it calls")
	}
	for _, s := range []struct {
		name string
		do   func()
		want string
	}{
		{"came", func() { cart.Clusters["c1"], cart.Ready["c1"] = 1, 1 },
			"+ServiceAccount +AuthorizationPolicy +NetworkPolicy +NetworkPolicy +PeerAuthentication +Service +Sidecar +Deployment"},
		{"went", func() { delete(cart.Clusters, "c1") },
			"+Service -Deployment -Sidecar -PeerAuthentication -NetworkPolicy -NetworkPolicy -AuthorizationPolicy -ServiceAccount"},
	} {
		s.do()
		got := strings.Fields(short(changes(z.set(w)["c1"])))
		if want := strings.Fields(s.want); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("cart %s: c1 has changed %q, want %q", s.name, got, want)
		}
		if z.held["c1"][key] == nil {
			t.Errorf("cart %s: its Service is gone from c1", s.name)
		}
	}
}

// TestGroupSharesAnIstiod has two clusters share an istiod: what it reads is in the primary alone, and what cannot be called
// shows where the caller runs, also in a shard that does not own the primary.
func TestGroupSharesAnIstiod(t *testing.T) {
	w := newWorld()
	remote := w.Clusters["c2"]
	remote.Mesh.Primary = "c1"
	w.Clusters["c2"] = remote
	runs(w, "n/web", []string{"c2"}, "o/cart")
	runs(w, "o/cart", []string{"far"})
	w.Allow()
	z := startZone(t, w, "z", "c1", "c2")
	t.Cleanup(z.store.Close)
	kinds := func(cluster string) string {
		var out []string
		for key := range z.held[cluster] {
			id, _ := object.FromKey(key)
			out = append(out, id.Kind+":"+id.Namespace)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if got, want := kinds("c1"), "AuthorizationPolicy:n DestinationRule:o Namespace: Namespace: PeerAuthentication:n Service:o Sidecar:n WorkloadEntry:o"; got != want {
		t.Errorf("the primary has\n%s, want\n%s", got, want)
	}
	if got, want := kinds("c2"), "Deployment:n Namespace: Namespace: NetworkPolicy:n Service:n Service:o ServiceAccount:n"; got != want {
		t.Errorf("the other has\n%s, want\n%s", got, want)
	}
	z.disown("c1")
	far := w.Clusters["far"]
	far.Mesh.Gateway.Addresses = nil
	w.Clusters["far"] = far
	z.set(w)
	if p := z.apps["c2"]["n/web"].Problems; len(p) != 1 || p[0].Reason != "GatewayUnknown" || p[0].Cluster != "c2" {
		t.Errorf("web is told with problems %+v, want that the gateway is not known", p)
	}
}

// TestGroupNeighbours has what is called come to another cluster of the group, and go: its caller may send there, and no
// longer, without any location that tells of it.
func TestGroupNeighbours(t *testing.T) {
	w := newWorld()
	member := w.Clusters["c2"]
	member.Mesh.Primary = "c1"
	w.Clusters["c2"] = member
	runs(w, "n/web", []string{"c2"}, "o/cart")
	cart := runs(w, "o/cart", []string{"c2"})
	w.Allow()
	z := startZone(t, w, "z", "c2")
	t.Cleanup(z.store.Close)
	cart.Clusters["c1"] = 1
	if got := changes(z.set(w)["c2"]); !slices.Equal(got, []string{"+NetworkPolicy n/web"}) {
		t.Errorf("cart came to c1: c2 has changed %q, want the caller's NetworkPolicy", got)
	}
	delete(cart.Clusters, "c1")
	if got := changes(z.set(w)["c2"]); !slices.Equal(got, []string{"+NetworkPolicy n/web"}) {
		t.Errorf("cart went from c1: c2 has changed %q, want the caller's NetworkPolicy", got)
	}
}

// TestLocateFollowsTheZone has another cluster of the zone move to another network: agents of the first report addresses of
// what is called for as long as somebody under another istiod could use them, then counts.
func TestLocateFollowsTheZone(t *testing.T) {
	w := newWorld()
	runs(w, "n/web", []string{"c1"}, "n/cart")
	runs(w, "n/cart", []string{"c1"})
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	key := object.ID{Version: "v1", Kind: "Service", Namespace: "n", Name: "cart"}.Key()
	located := func(value string) bool {
		return strings.Contains(string(z.held["c1"][key].Content), fmt.Sprintf("%q:%q", object.LabelLocate, value))
	}
	if !located("addresses") {
		t.Errorf("with another istiod on the network, the Service is %s, want addresses reported", z.held["c1"][key].Content)
	}
	other := w.Clusters["c2"]
	other.Network = "n9"
	z.write(put(other.Record()))
	if !located("counts") {
		t.Errorf("with another istiod elsewhere, the Service is %s, want counts reported", z.held["c1"][key].Content)
	}
}

// TestGatewayWithoutPods has a gateway that no pods are known of: what cannot be compiled is told of the cluster, and of the
// applications that are called through it.
func TestGatewayWithoutPods(t *testing.T) {
	w := newWorld()
	c := w.Clusters["c1"]
	c.Mesh.Gateway.Selector = nil
	w.Clusters["c1"] = c
	runs(w, "n/web", []string{"far"}, "o/cart")
	runs(w, "o/cart", []string{"c1"})
	w.Allow()
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	s := z.compiler.Whole("c1")
	if len(s.Problems) != 1 || s.Problems[0].Reason != "CompileFailed" || s.Complete {
		t.Errorf("the cluster has problems %+v, complete %v; want that its gateway cannot be compiled", s.Problems, s.Complete)
	}
	if a := z.apps["c1"]["o/cart"]; a.Current || len(a.Problems) != 1 {
		t.Errorf("cart is told as %+v, want that nothing can be let in from the gateway", a)
	}
	c.Mesh.Gateway.Selector = map[string]string{"istio": "eastwestgateway"}
	w.Clusters["c1"] = c
	if s := z.set(w)["c1"]; len(s.Problems) > 0 || !s.Complete {
		t.Errorf("the gateway has pods, and the cluster has problems %+v, complete %v", s.Problems, s.Complete)
	}
}

// TestStalePlaceLosesItsWeight has a place go stale: nothing changes until its time has come, and hearing of it again brings
// it back.
func TestStalePlaceLosesItsWeight(t *testing.T) {
	w := newWorld()
	runs(w, "n/web", []string{"c1"}, "o/cart")
	runs(w, "o/cart", []string{"far"})
	w.Allow()
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	fresh := find(w, record.PlaceKey("far"))
	place, _ := record.DecodePlace(fresh)
	place.StaleSince = z.now.Add(-10 * time.Second)
	if got := changes(z.write(put(place.Record()))["c1"]); len(got) > 0 {
		t.Errorf("the place went stale: c1 has changed %q, want nothing yet", got)
	}
	if want := place.StaleSince.Add(staleAfter); !z.compiler.Due().Equal(want) {
		t.Errorf("it loses its weight at %s, want %s", z.compiler.Due(), want)
	}
	if got := z.follow(z.compiler.Age(z.now)); len(got) > 0 {
		t.Errorf("too early, %v has changed", slices.Collect(maps.Keys(got)))
	}
	z.now = place.StaleSince.Add(staleAfter)
	if got := short(changes(z.follow(z.compiler.Age(z.now))["c1"])); got != "-WorkloadEntry" {
		t.Errorf("its time has come: c1 has changed %s, want the WorkloadEntry gone", got)
	}
	if !z.compiler.Due().IsZero() {
		t.Errorf("there is something due at %s", z.compiler.Due())
	}
	if got := short(changes(z.write(put(fresh))["c1"])); got != "+WorkloadEntry" {
		t.Errorf("it was heard of again: c1 has changed %s, want the WorkloadEntry back", got)
	}
}

// TestManyConsumers has one application called by 5,000 in 500 namespaces: another caller changes its own objects alone.
func TestManyConsumers(t *testing.T) {
	w := newWorld()
	runs(w, "p/provider", []string{"c1", "far"})
	for i := range 5000 {
		runs(w, fmt.Sprintf("team-%d/app-%d", i%500, i), []string{"c1"}, "p/provider")
	}
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	runs(w, "team-7/late", []string{"c1"}, "p/provider")
	got := changes(z.set(w)["c1"])
	for _, c := range got {
		if !strings.HasSuffix(c, " team-7/late") {
			t.Errorf("one more caller: %s has changed", c)
		}
	}
	if len(got) != 6 {
		t.Errorf("one more caller: %q have changed, want its six objects", got)
	}
	r := z.held["c1"][object.ID{Version: "v1", Kind: "Service", Namespace: "p", Name: "provider"}.Key()]
	if list, _ := exportToOf(t, object.ID{Kind: "Service"}, r.Content); !slices.Equal(list, []string{"*"}) {
		t.Errorf("the provider is exported to %q, want everybody", list)
	}
}

// TestShares shows that clusters with equal inputs share records.
func TestShares(t *testing.T) {
	w := newWorld()
	runs(w, "n/a", []string{"c1", "c2"})
	a := w.Clusters["c1"].Mesh.Gateway
	other := w.Clusters["c2"]
	other.Mesh.Gateway = a
	w.Clusters["c2"] = other
	z := startZone(t, w, "z", "c1", "c2")
	t.Cleanup(z.store.Close)
	for key, r := range z.held["c1"] {
		if id, _ := object.FromKey(key); id.Kind != "Namespace" && id.Kind != "PeerAuthentication" && z.held["c2"][key] != r {
			t.Errorf("%s is in memory twice", key)
		}
	}
}
