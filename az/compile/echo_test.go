package compile_test

import (
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// reasons are those of an application's problems in a cluster.
func (z *zone) reasons(cluster, app string) []string {
	var out []string
	for _, p := range z.apps[cluster][app].Problems {
		out = append(out, p.Reason)
	}
	return out
}

// hear has a cluster refuse an object as it is, or with an empty reason apply it.
func (z *zone) hear(cluster string, key record.Key, reason string) {
	z.t.Helper()
	e := compile.Echo{Cluster: cluster, Key: key}
	if r := z.held[cluster][key]; r != nil {
		e.Version = r.Version
	}
	if reason != "" {
		e.Rejection = &feed.Rejection{Key: key, Version: e.Version, Reason: reason}
	}
	z.follow(z.compiler.Hear([]compile.Echo{e}))
}

// TestRefusalsAreTheConsumers has clusters refuse what only callers need there: those who call from them say so, until it is
// applied, or no longer wanted.
func TestRefusalsAreTheConsumers(t *testing.T) {
	w := newWorld()
	member := w.Clusters["c2"]
	member.Mesh.Primary = "c1"
	w.Clusters["c2"] = member
	web := runs(w, "n/web", []string{"c2"}, "o/cart")
	runs(w, "n/other", []string{"c2"})
	runs(w, "o/cart", []string{"far"})
	w.Allow()
	z := startZone(t, w, "z", "c1", "c2")
	t.Cleanup(z.store.Close)
	stub := object.ID{Version: "v1", Kind: "Service", Namespace: "o", Name: "cart"}.Key()
	rule := object.ID{Group: "networking.istio.io", Version: "v1", Kind: "DestinationRule", Namespace: "o", Name: "cart"}.Key()
	sidecar := object.ID{Group: "networking.istio.io", Version: "v1", Kind: "Sidecar", Namespace: "n", Name: "web"}.Key()
	for _, s := range []struct {
		name, cluster string
		key           record.Key
	}{{"a stub", "c2", stub}, {"how a callee is found", "c1", rule}, {"the caller's own config", "c1", sidecar}} {
		if z.held[s.cluster][s.key] == nil {
			t.Fatalf("%s: %s has no %s", s.name, s.cluster, s.key)
		}
		z.hear(s.cluster, s.key, "Foreign")
		if got := z.reasons("c2", "n/web"); !slices.Equal(got, []string{"Foreign"}) {
			t.Errorf("%s is refused, and the caller says %q", s.name, got)
		}
		if got := z.reasons("c2", "n/other"); len(got) > 0 {
			t.Errorf("%s is refused, and who does not call it says %q", s.name, got)
		}
		z.hear(s.cluster, s.key, "")
		if got := z.reasons("c2", "n/web"); len(got) > 0 {
			t.Errorf("%s is applied, and the caller says %q", s.name, got)
		}
	}
	z.hear("c2", stub, "Foreign")
	web.Undepend("o/cart")
	z.set(w)
	web.Dependencies = []string{"o/cart"}
	z.set(w)
	if got := z.reasons("c2", "n/web"); len(got) > 0 {
		t.Errorf("a stub that was refused went and came back, and the caller says %q", got)
	}
}
