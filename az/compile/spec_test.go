package compile_test

import "testing"

// TestSpecKeepsFew has an application's replicas change in one cluster again and again, and then go from there: of what was
// compiled no more is remembered than one round wants.
func TestSpecKeepsFew(t *testing.T) {
	w := newWorld()
	web := runs(w, "n/web", []string{"c1", "c2"})
	w.Allow()
	z := startZone(t, w, "z", "c1", "c2")
	t.Cleanup(z.store.Close)
	for i := range int32(100) {
		web.Clusters["c1"] = 10 + i
		if len(z.set(w)["c1"].Edits) == 0 {
			t.Fatalf("%d replicas changed nothing", 10+i)
		}
	}
	if got, most := z.compiler.Kept(), 2; got == 0 || got > most {
		t.Errorf("after 100 changes %d outputs are remembered, want those of a workload and its configuration", got)
	}
	delete(web.Clusters, "c1")
	z.set(w)
	if got, most := z.compiler.Kept(), 2; got > most {
		t.Errorf("after it left a cluster %d outputs are remembered, want at most %d", got, most)
	}
}
