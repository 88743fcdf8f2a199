package compile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/mesh"
)

// TestPodsWithoutProxyAreNotCalledFromElsewhere has a callee's cluster lose its mesh, and get it back: callers elsewhere have no
// entry meanwhile, may not send to its gateway, and say why.
func TestPodsWithoutProxyAreNotCalledFromElsewhere(t *testing.T) {
	w := newWorld()
	runs(w, "n/web", []string{"c1"}, "o/cart")
	runs(w, "o/cart", []string{"far"})
	w.Allow()
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	far := w.Clusters["far"]
	for _, step := range []struct {
		dataplane, reason string
		want              []string
	}{
		{"None", mesh.ReasonNoProxy, []string{"+NetworkPolicy", "-WorkloadEntry"}},
		{"Sidecar", "", []string{"+NetworkPolicy", "+WorkloadEntry"}},
	} {
		far.Mesh.Dataplane = step.dataplane
		w.Clusters["far"] = far
		if got := strings.Fields(short(changes(z.set(w)["c1"]))); !slices.Equal(got, step.want) {
			t.Errorf("dataplane %s: c1 has changed %q, want %q", step.dataplane, got, step.want)
		}
		reason := ""
		if p := z.apps["c1"]["n/web"].Problems; len(p) > 0 {
			reason = p[0].Reason
		}
		if reason != step.reason {
			t.Errorf("dataplane %s: the caller says %q, want %q", step.dataplane, reason, step.reason)
		}
	}
}
