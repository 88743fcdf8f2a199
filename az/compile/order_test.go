package compile_test

import (
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

var (
	authorizationOfA = object.ID{Group: "security.istio.io", Version: "v1", Kind: "AuthorizationPolicy", Namespace: "n", Name: "a"}.Key()
	deploymentOfA    = object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "n", Name: "a"}.Key()
)

// mutePair has cluster c2 share the istiod of c1, and says nothing of what they make of objects.
func mutePair(t *testing.T) (*graphtest.World, *zone) {
	t.Helper()
	w := newWorld()
	member := w.Clusters["c2"]
	member.Mesh.Primary = "c1"
	w.Clusters["c2"] = member
	z := startZone(t, w, "z", "c1", "c2")
	t.Cleanup(z.store.Close)
	z.mute = true
	return w, z
}

// TestMemberWaitsForItsPrimary brings an application to a member, and takes it away: nothing runs there before the primary has
// taken in who may call it, and the primary keeps that until nothing runs any more.
func TestMemberWaitsForItsPrimary(t *testing.T) {
	w, z := mutePair(t)
	runs(w, "n/a", []string{"c2"})
	s := z.set(w)
	if got := z.reasons("c2", "n/a"); z.held["c2"][deploymentOfA] != nil || !slices.Equal(got, []string{"PrimaryBehind"}) {
		t.Errorf("the primary has heard nothing, c2 has %v and says %q", z.held["c2"][deploymentOfA], got)
	}
	if !slices.Contains(s["c1"].Awaits, authorizationOfA) {
		t.Errorf("the compiler waits for %v, want the AuthorizationPolicy", s["c1"].Awaits)
	}
	z.hear("c1", authorizationOfA, "Foreign")
	if got := z.reasons("c2", "n/a"); z.held["c2"][deploymentOfA] != nil || !slices.Contains(got, "Foreign") {
		t.Errorf("the primary refuses, c2 has %v and says %q", z.held["c2"][deploymentOfA], got)
	}
	z.follow(z.compiler.Hear([]compile.Echo{{Cluster: "c1", Key: authorizationOfA, Version: record.VersionOf(nil)}}))
	if z.held["c2"][deploymentOfA] != nil {
		t.Error("the primary has taken in another version, and it runs in c2")
	}
	z.hear("c1", authorizationOfA, "")
	if a := z.apps["c2"]["n/a"]; z.held["c2"][deploymentOfA] == nil || len(a.Problems) > 0 || !a.Current {
		t.Errorf("the primary has taken it in, and c2 says %+v", a)
	}
	z.write(policyOf(w, "n/a", func(p *record.Policy) { p.IsolatedBy = []string{"strict"} }))
	if a := z.apps["c2"]["n/a"]; !a.Current {
		t.Errorf("another policy does not hold back what runs, and c2 says %+v", a)
	}
	delete(w.Applications, "n/a")
	z.set(w)
	if z.held["c2"][deploymentOfA] != nil || z.held["c1"][authorizationOfA] == nil {
		t.Error("the application went: want it to go from c2, and the primary to keep who may call it")
	}
	z.hear("c2", deploymentOfA, "Busy")
	if z.held["c1"][authorizationOfA] == nil {
		t.Error("c2 could not take it away, and the primary no longer says who may call it")
	}
	z.hear("c2", deploymentOfA, "")
	if len(z.held["c1"]) > 0 || len(z.held["c2"]) > 0 {
		t.Errorf("it is gone, and there are %v and %v", z.held["c1"], z.held["c2"])
	}
}

// TestSettled has a session begin in which all is in sync: what was acknowledged in the last one and not heard counts.
func TestSettled(t *testing.T) {
	w, z := mutePair(t)
	runs(w, "n/a", []string{"c2"})
	z.set(w)
	inSync := func(cluster string) { z.follow(z.compiler.Hear([]compile.Echo{{Cluster: cluster}})) }
	inSync("c2")
	if z.held["c2"][deploymentOfA] != nil {
		t.Error("the member is in sync, not the primary, and it runs")
	}
	z.follow(z.compiler.Hear([]compile.Echo{{Cluster: "c1", Key: authorizationOfA, Version: z.held["c1"][authorizationOfA].Version,
		Rejection: &feed.Rejection{Reason: "Foreign"}}}))
	inSync("c1")
	if z.held["c2"][deploymentOfA] != nil {
		t.Error("the primary refused it, and it runs")
	}
	z.hear("c1", authorizationOfA, "")
	delete(w.Applications, "n/a")
	z.set(w)
	inSync("c1")
	inSync("c2")
	if z.held["c1"][authorizationOfA] == nil {
		t.Error("nobody has said that it is gone, and who may call it is")
	}
}

// TestTakingOverWaitsForNothing takes clusters over: what is found there runs, and must not be held back.
func TestTakingOverWaitsForNothing(t *testing.T) {
	w, z := mutePair(t)
	runs(w, "n/a", []string{"c2"})
	z.set(w)
	z.disown("c1")
	z.disown("c2")
	z.own("c1", "c2")
	if a := z.apps["c2"]["n/a"]; z.held["c2"][deploymentOfA] == nil || !a.Current {
		t.Errorf("taken over, c2 says %+v", a)
	}
	if s := z.compiler.Whole("c1"); len(s.Awaits) > 0 {
		t.Errorf("the compiler waits for %v, want nothing", s.Awaits)
	}
}
