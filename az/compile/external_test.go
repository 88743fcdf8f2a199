package compile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meridian-federation/meridian/internal/graphtest"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

const dbID = "p/db.external"

// addDB adds a database outside the mesh, that has its address.
func addDB(w *graphtest.World) *graphtest.External {
	return w.AddExternal(&graphtest.External{Namespace: "p", Name: "db",
		Ports: []record.Port{{Name: "mysql", Port: 3306, TargetPort: 3306, Protocol: "TCP", AppProtocol: "mysql"}},
		External: record.External{Hosts: []string{"db.example.com"}, Address: "10.250.0.1",
			Endpoints: []record.ExternalEndpoint{{Address: "198.51.100.1"}}}})
}

// withDB is a world with one caller of it in a cluster.
func withDB(cluster string) (*graphtest.World, *graphtest.External) {
	w := newWorld()
	runs(w, "n/a", []string{cluster}, dbID)
	return w, addDB(w)
}

// TestExternalChanges follows an ExternalService through its life: what is written for each change, in which order, and why
// what goes goes. A step that rewrote more would show.
func TestExternalChanges(t *testing.T) {
	w, db := withDB("c1")
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	if z.held["c1"][objectKey("networking.istio.io/v1/ServiceEntry/p/db.external")] == nil || z.held["c1"][objectKey("core/v1/Namespace/-/p")] == nil {
		t.Fatal("where it is called it has no ServiceEntry, or no namespace")
	}
	const shared, own = "DestinationRule p/db.external-4e513f9abb1c", "DestinationRule n/a.calls-7f30c7d5c546"
	for _, s := range []struct {
		name string
		do   func()
		want []string
	}{
		{"an endpoint more", func() { db.Endpoints = append(db.Endpoints, record.ExternalEndpoint{Address: "198.51.100.2"}) },
			[]string{"+NetworkPolicy n/a", "+ServiceEntry p/db.external"}},
		{"a region", func() { db.Endpoints[0].Region = "west" }, []string{"+" + shared, "+ServiceEntry p/db.external"}},
		{"no region", func() { db.Endpoints[0].Region = "" }, []string{"+ServiceEntry p/db.external", "-" + shared + " (person)"}},
		{"another host", func() { db.Hosts = []string{"db2.example.com"} }, []string{"+ServiceEntry p/db.external", "+Sidecar n/a"}},
		{"the host again", func() { db.Hosts = []string{"db.example.com"} }, []string{"+ServiceEntry p/db.external", "+Sidecar n/a"}},
		{"TLS", func() { db.TLS = &record.ExternalTLS{CredentialName: "ca"} }, []string{"+" + own, "+" + shared}},
		{"mutual TLS", func() { db.TLS.Mutual = true }, []string{"+" + own}},
		{"no credential", func() { db.TLS = &record.ExternalTLS{} }, []string{"-" + own + " (person)"}},
		{"no TLS", func() { db.TLS = nil }, []string{"-" + shared + " (person)"}},
		{"another address", func() { db.Address = "10.250.0.2" }, []string{"+ServiceEntry p/db.external"}},
		{"the address lost", func() { db.Address = "" },
			[]string{"+NetworkPolicy n/a", "-ServiceEntry p/db.external (person)", "-Namespace p (person)"}},
		{"the address again", func() { db.Address = "10.250.0.1" },
			[]string{"+Namespace p", "+NetworkPolicy n/a", "+ServiceEntry p/db.external"}},
	} {
		s.do()
		if diff := cmp.Diff(s.want, changes(z.set(w)["c1"])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

func objectKey(name string) record.Key { return record.Key{Kind: record.KindObject, Name: name} }

// TestExternalCallers: one caller more or less changes that caller, and who sees the ExternalService.
func TestExternalCallers(t *testing.T) {
	w, _ := withDB("c1")
	other := runs(w, "o/b", []string{"c1"})
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	for _, s := range []struct {
		name string
		do   func()
		want []string
	}{
		{"one more", func() { other.Dependencies = []string{dbID} }, []string{"+NetworkPolicy o/b", "+ServiceEntry p/db.external", "+Sidecar o/b"}},
		{"one less", func() { other.Dependencies = nil }, []string{"+NetworkPolicy o/b", "+ServiceEntry p/db.external", "+Sidecar o/b"}},
		{"none", func() { w.Applications["n/a"].Dependencies = nil },
			[]string{"+NetworkPolicy n/a", "+Sidecar n/a", "-ServiceEntry p/db.external (person)", "-Namespace p (person)"}},
	} {
		s.do()
		if diff := cmp.Diff(s.want, changes(z.set(w)["c1"])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

// TestExternalDeleted: with its record go its objects, for the record's cause, after the Sidecars that named it, also while
// callers still depend on it. Nothing is left to wait for.
func TestExternalDeleted(t *testing.T) {
	for _, cause := range []record.Cause{record.CausePerson, record.CauseScope} {
		w, _ := withDB("c1")
		z := startZone(t, w, "z", "c1")
		t.Cleanup(z.store.Close)
		s := z.write(drop(record.Key{Kind: record.KindService, Name: dbID}, cause))["c1"]
		why := " (" + cause.String() + ")"
		want := []string{"+NetworkPolicy n/a", "+Sidecar n/a", "-ServiceEntry p/db.external" + why, "-Namespace p" + why}
		if diff := cmp.Diff(want, changes(s)); diff != "" || !s.Complete {
			t.Errorf("deleted%s: complete %v (-want +got):\n%s", why, s.Complete, diff)
		}
		if s := z.write(put(w.Externals[dbID].Service().Record()))["c1"]; len(s.Edits) != 4 {
			t.Errorf("it came back with %q, want all four", changes(s))
		}
	}
}

// TestExternalUnknown: a shard that takes over a cluster before the record has arrived removes nothing there, and compiles it
// once that arrives.
func TestExternalUnknown(t *testing.T) {
	w, db := withDB("c1")
	var without []record.Record
	for _, r := range w.Zone("z") {
		if r.Key.Name != dbID || r.Key.Kind != record.KindService {
			without = append(without, r)
		}
	}
	z := newZone(t, "z")
	t.Cleanup(z.store.Close)
	var writes []store.Write
	for _, r := range without {
		writes = append(writes, put(r))
	}
	z.write(writes...)
	if s := z.own("c1")["c1"]; s.Complete || slices.Contains(changes(s), "+ServiceEntry p/db.external") {
		t.Errorf("before the record has arrived: complete %v, %q", s.Complete, changes(s))
	}
	s := z.write(put(db.Service().Record()))["c1"]
	if !s.Complete || !slices.Contains(changes(s), "+ServiceEntry p/db.external") || !slices.Contains(changes(s), "+Namespace p") {
		t.Errorf("with the record: complete %v, %q", s.Complete, changes(s))
	}
}

// TestExternalInvalidAtTakeOver: one that cannot be compiled keeps nothing from being removed in a cluster that a shard takes
// over, nor has its namespace removed.
func TestExternalInvalidAtTakeOver(t *testing.T) {
	w, db := withDB("c1")
	db.Hosts = []string{"*"}
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	if s := z.compiler.Whole("c1"); !s.Complete {
		t.Error("the cluster is not complete")
	}
	if z.held["c1"][objectKey("core/v1/Namespace/-/p")] == nil || z.held["c1"][objectKey("networking.istio.io/v1/ServiceEntry/p/db.external")] != nil {
		t.Error("its namespace is not there, or it has a ServiceEntry")
	}
	if a := z.apps["c1"]["n/a"]; !a.Current || len(a.Problems) != 1 || a.Problems[0].Reason != "CompileFailed" {
		t.Errorf("the caller is current: %v, and is told %+v, want CompileFailed", a.Current, a.Problems)
	}
	db.Hosts = []string{"db.example.com"}
	if s := z.set(w)["c1"]; !s.Complete || !slices.Contains(changes(s), "+ServiceEntry p/db.external") {
		t.Errorf("mended: complete %v, %q", s.Complete, changes(s))
	}
}

// TestExternalProblems: callers are told what keeps them from calling it, and are Current all the same; nobody else is told.
func TestExternalProblems(t *testing.T) {
	w, db := withDB("c1")
	runs(w, "n/b", []string{"c1"})
	db.Address = ""
	z := startZone(t, w, "z", "c1")
	t.Cleanup(z.store.Close)
	told := func(want string) {
		t.Helper()
		a := z.apps["c1"]["n/a"]
		var got []string
		for _, p := range a.Problems {
			got = append(got, p.Reason+": "+p.Message)
		}
		if joined := strings.Join(got, "; "); !a.Current || (want == "") != (joined == "") || !strings.Contains(joined, want) {
			t.Errorf("the caller is current: %v, and is told %q, want %q", a.Current, joined, want)
		}
		if b := z.apps["c1"]["n/b"]; len(b.Problems) > 0 {
			t.Errorf("an application that does not call it is told %+v", b.Problems)
		}
	}
	told("AddressPending: ExternalService p/db has no address yet")
	db.Address = "10.250.0.1"
	z.set(w)
	told("")
	db.Hosts = []string{"*"}
	z.set(w)
	told(`CompileFailed: how ExternalService p/db is called: ExternalService p/db: hosts[0]: "*"`)
	if z.held["c1"][objectKey("networking.istio.io/v1/ServiceEntry/p/db.external")] != nil {
		t.Error("what cannot be compiled, and what no caller is sent, is still there")
	}
	delete(w.Externals, dbID)
	z.set(w)
	told("")
}

// TestExternalOfSharedIstiod: it is in the primary, once for the group, and nothing of it in members; where the primary is
// another shard's, callers are told of it all the same.
func TestExternalOfSharedIstiod(t *testing.T) {
	w, db := withDB("c2")
	member := w.Clusters["c2"]
	member.Mesh.Primary = "c1"
	w.Clusters["c2"] = member
	z := startZone(t, w, "z", "c1", "c2")
	t.Cleanup(z.store.Close)
	for cluster, want := range map[string]bool{"c1": true, "c2": false} {
		for _, name := range []string{"networking.istio.io/v1/ServiceEntry/p/db.external", "core/v1/Namespace/-/p"} {
			if got := z.held[cluster][objectKey(name)] != nil; got != want {
				t.Errorf("cluster %s has %s: %v, want %v", cluster, name, got, want)
			}
		}
	}
	db.Address = ""
	alone := startZone(t, w, "z", "c2")
	t.Cleanup(alone.store.Close)
	if a := alone.apps["c2"]["n/a"]; len(a.Problems) != 1 || a.Problems[0].Reason != "AddressPending" {
		t.Errorf("without the primary the caller is told %+v, want AddressPending", a.Problems)
	}
}

// TestExternalWithoutMesh: nothing of it is in the cluster, and the caller runs.
func TestExternalWithoutMesh(t *testing.T) {
	w, db := withDB("c1")
	plain := w.Clusters["c1"]
	plain.Mesh.Dataplane = "None"
	w.Clusters["c1"] = plain
	db.Address = ""
	z := newZone(t, "z")
	t.Cleanup(z.store.Close)
	z.set(w)
	s := z.own("c1")["c1"]
	want := []string{"+Namespace n", "+ServiceAccount n/a", "+NetworkPolicy n/a", "+Service n/a", "+Deployment n/a"}
	if diff := cmp.Diff(want, changes(s)); diff != "" || !s.Complete || len(z.apps["c1"]["n/a"].Problems) > 0 {
		t.Errorf("complete %v, problems %+v (-want +got):\n%s", s.Complete, z.apps["c1"]["n/a"].Problems, diff)
	}
}
