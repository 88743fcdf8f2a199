package az

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// specText is a spec as Global would write it, with something that differs.
func specText(app, image string, carried string) []byte {
	resources := ""
	if carried != "" {
		resources = fmt.Sprintf(`,"resources":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"a":"b"}}]`, carried)
	}
	return fmt.Appendf(nil, `{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":%q}]}},`+
		`"ports":[{"name":"http","port":80}],"placement":{"mode":"Divided"}%s}`, app+":"+image, resources)
}

func meshedCluster(name string) record.Cluster {
	c := clusterNamed(name)
	c.Mesh = record.Mesh{Dataplane: "Sidecar", RootNamespace: "istio-system", DefaultSidecar: true}
	return c
}

func revision(app, image, carried string) record.Record {
	return record.Revision{Namespace: "n", Application: app, Environment: "prod", Spec: specText(app, image, carried)}.Record()
}

func bindingTo(rev record.Record, cluster string, replicas int32, dependencies ...string) record.Binding {
	p := rev.Key.Parts()
	return record.Binding{Namespace: p[0], Application: p[1], Cluster: cluster, Revision: p[2], Replicas: replicas,
		Generation: mesh.Generation, Dependencies: dependencies}
}

// held is a cluster's objects as edits built them up, checked for order.
type held map[record.Key]*record.Record

func (h held) apply(t failer, s *shift) {
	removing, rank := false, -1
	for _, e := range s.edits {
		if e.Record == nil {
			if !removing {
				removing, rank = true, object.Classes
			}
			if r := object.Rank(e.Key); r > rank {
				t.Fatalf("%s is removed after what it refers to", e.Key)
			} else {
				rank = r
			}
			delete(h, e.Key)
			continue
		}
		if r := object.Rank(e.Key); removing || r < rank {
			t.Fatalf("%s is put too late", e.Key)
		} else {
			rank = r
		}
		h[e.Key] = e.Record
	}
}

// TestCompileIncrementalEqualsFromScratch edits a random zone and holds the objects that follow from the edits against
// those of a compiler that saw only the end.
func TestCompileIncrementalEqualsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := newZoneStore(t)
		defer z.stop()
		c := newCompiler()
		clusters := []string{"c1", "c2"}
		got := map[string]held{"c1": {}, "c2": {}}
		follow := func(shifts map[string]*shift) {
			for cluster, s := range shifts {
				got[cluster].apply(t, s)
				if !s.complete {
					t.Fatalf("cluster %s is not complete", cluster)
				}
			}
		}
		follow(c.apply(z.write(t, put(meshedCluster("c1").Record()), put(meshedCluster("c2").Record()))))
		for _, cluster := range clusters {
			follow(c.own(meshedCluster(cluster)))
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			var writes []store.Write
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				writes = append(writes, zoneEdit(t)...)
			}
			follow(c.apply(z.write(t, writes...)))
			fresh := newCompiler()
			fresh.snapshot = z.mirror.Snapshot()
			for _, cluster := range clusters {
				e, _ := fresh.snapshot.Get(record.ClusterKey(cluster))
				record, _ := record.DecodeCluster(e.Record)
				want := held{}
				want.apply(t, fresh.own(record)[cluster])
				compareHeld(t, cluster, got[cluster], want)
			}
		}
		if len(c.specs) > len(c.users) {
			t.Fatalf("%d specs are kept for %d revisions in use", len(c.specs), len(c.users))
		}
	})
}

// zoneEdit makes one random change that keeps every revision that is bound.
func zoneEdit(t *rapid.T) []store.Write {
	app := fmt.Sprint("a", rapid.IntRange(0, 3).Draw(t, "app"))
	cluster := rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "cluster")
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return []store.Write{drop(record.BindingKey("n", app, cluster), record.CausePerson)}
	case 1:
		s := record.Service{Namespace: "n", Application: app}
		if rapid.Bool().Draw(t, "ports") {
			s.Ports = []record.Port{{Name: "http", Port: 80}}
		}
		return []store.Write{put(s.Record())}
	case 2:
		c := meshedCluster(cluster)
		c.Mesh.Dataplane = rapid.SampledFrom([]string{"Sidecar", "None"}).Draw(t, "dataplane")
		c.Mesh.DefaultSidecar = rapid.Bool().Draw(t, "default sidecar")
		return []store.Write{put(c.Record())}
	default:
		rev := revision(app, rapid.SampledFrom([]string{"1", "2"}).Draw(t, "image"),
			rapid.SampledFrom([]string{"", app + "-x", app + "-y"}).Draw(t, "carried"))
		var dependencies []string
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 0, 2, rapid.ID[int]).Draw(t, "dependencies") {
			dependencies = append(dependencies, fmt.Sprint("n/a", i))
		}
		slices.Sort(dependencies)
		return []store.Write{put(rev), put(bindingTo(rev, cluster, rapid.Int32Range(0, 2).Draw(t, "replicas"), dependencies...).Record())}
	}
}

func compareHeld(t failer, cluster string, got, want held) {
	t.Helper()
	keys := func(h held) []string {
		var out []string
		for key, r := range h {
			out = append(out, key.String()+" "+r.Version.String()[:8])
		}
		slices.Sort(out)
		return out
	}
	if !slices.Equal(keys(got), keys(want)) {
		t.Fatalf("cluster %s:\n got %q\nwant %q", cluster, keys(got), keys(want))
	}
	for key, r := range want {
		if !bytes.Equal(got[key].Content, r.Content) {
			t.Fatalf("cluster %s: %s:\n got %s\nwant %s", cluster, key, got[key].Content, r.Content)
		}
	}
}

func kinds(s *shift) string {
	text := ""
	for _, e := range s.edits {
		id, _ := object.FromKey(e.Key)
		if e.Record == nil {
			text += "-" + id.Kind + "(" + e.Cause.String() + ") "
		} else {
			text += "+" + id.Kind + " "
		}
	}
	return text
}

// TestCompileCauses shows what a change of a binding removes, and why.
func TestCompileCauses(t *testing.T) {
	z := newZoneStore(t)
	defer z.stop()
	c := newCompiler()
	plain := clusterNamed("c1")
	plain.Mesh.Dataplane = "None"
	c.apply(z.write(t, put(plain.Record())))
	c.own(plain)
	first, second := revision("a", "1", "x"), revision("a", "1", "")
	key := record.BindingKey("n", "a", "c1")
	steps := []struct {
		name   string
		writes []store.Write
		want   string
	}{
		{"placed", []store.Write{put(first), put(bindingTo(first, "c1", 1).Record())},
			"+Namespace +ServiceAccount +ConfigMap +Service +Deployment "},
		{"spec changed", []store.Write{put(second), put(bindingTo(second, "c1", 1).Record())},
			"+Namespace +ServiceAccount +Service +Deployment -ConfigMap(person) "},
		{"moved away", []store.Write{drop(key, record.CauseScope)},
			"-Deployment(scope) -Service(scope) -ServiceAccount(scope) -Namespace(scope) "},
		{"placed again", []store.Write{put(bindingTo(first, "c1", 1).Record())},
			"+Namespace +ServiceAccount +ConfigMap +Service +Deployment "},
		{"deleted", []store.Write{drop(key, record.CausePerson)},
			"-Deployment(person) -Service(person) -ConfigMap(person) -ServiceAccount(person) -Namespace(person) "},
	}
	for _, s := range steps {
		if got := kinds(c.apply(z.write(t, s.writes...))["c1"]); got != s.want {
			t.Errorf("%s: got %q, want %q", s.name, got, s.want)
		}
	}
}

// TestCompileKeepsLastGood shows that a revision which is missing or too new for this release changes nothing, and that a
// cluster found in that state is not complete.
func TestCompileKeepsLastGood(t *testing.T) {
	z := newZoneStore(t)
	defer z.stop()
	c := newCompiler()
	good, missing := revision("a", "1", ""), revision("a", "2", "")
	tooNew := bindingTo(good, "c1", 1)
	tooNew.Generation = 99
	c.apply(z.write(t, put(meshedCluster("c1").Record()), put(good), put(bindingTo(good, "c1", 1).Record())))
	before := held{}
	before.apply(t, c.own(meshedCluster("c1"))["c1"])
	for name, b := range map[string]record.Binding{"revision missing": bindingTo(missing, "c1", 1), "generation unknown": tooNew} {
		s := c.apply(z.write(t, put(b.Record())))["c1"]
		if len(s.edits) != 1 || s.units[0].problem == nil || !s.complete {
			t.Errorf("%s: got edits %q and problem %v, want only the namespace's and a problem", name, kinds(s), s.units[0].problem)
		}
		fresh := newCompiler()
		fresh.snapshot = z.mirror.Snapshot()
		if s := fresh.own(meshedCluster("c1"))["c1"]; s.complete {
			t.Errorf("%s: a compiler that never had a good revision calls the cluster complete", name)
		}
	}
	s := c.apply(z.write(t, put(missing), put(bindingTo(missing, "c1", 1).Record())))["c1"]
	if s.units[0].problem != nil || !s.units[0].current() {
		t.Errorf("the revision arrived: got problem %v", s.units[0].problem)
	}
	after := held(maps.Clone(before))
	after.apply(t, s)
	if len(after) != len(before) {
		t.Errorf("got %d objects, want %d", len(after), len(before))
	}
}

// TestCompileShares shows that clusters with equal inputs share records.
func TestCompileShares(t *testing.T) {
	z := newZoneStore(t)
	defer z.stop()
	c := newCompiler()
	rev := revision("a", "1", "")
	c.apply(z.write(t, put(rev), put(bindingTo(rev, "c1", 1).Record()), put(bindingTo(rev, "c2", 1).Record())))
	one, two := held{}, held{}
	one.apply(t, c.own(meshedCluster("c1"))["c1"])
	two.apply(t, c.own(meshedCluster("c2"))["c2"])
	for key, r := range one {
		id, _ := object.FromKey(key)
		if id.Kind == "Deployment" && two[key] != r {
			t.Errorf("%s is in memory twice", key)
		}
	}
}

// BenchmarkCompile compiles applications for three clusters each.
func BenchmarkCompile(b *testing.B) {
	z := newZoneStore(b)
	defer z.stop()
	c := newCompiler()
	c.apply(z.write(b, put(meshedCluster("c1").Record())))
	for _, cluster := range []string{"c1", "c2", "c3"} {
		c.own(meshedCluster(cluster))
	}
	var updates []store.Update
	for i := range b.N {
		rev := revision(fmt.Sprint("a", i), "1", "")
		writes := []store.Write{put(rev)}
		for cluster := range c.targets {
			writes = append(writes, put(bindingTo(rev, cluster, 1).Record()))
		}
		updates = append(updates, z.write(b, writes...))
	}
	b.ReportAllocs()
	b.ResetTimer()
	var edits []feed.Edit
	for _, u := range updates {
		for _, s := range c.apply(u) {
			edits = s.edits
		}
	}
	_ = edits
}
