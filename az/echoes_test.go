package az

import (
	"testing"
	"time"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestEchoes shows what of a cluster's acknowledgements the compiler hears: refusals of what is no application's own, and
// their end.
func TestEchoes(t *testing.T) {
	key := func(name string) record.Key { return record.Key{Kind: record.KindObject, Name: name} }
	version := record.VersionOf([]byte("x"))
	refused := &feed.Rejection{Reason: "Foreign", Message: "it is somebody else's"}
	b := newBoard("a", "west", time.Minute)
	b.add("c1", feed.Fence{})
	b.expect("c1", &compile.Shift{Applications: []compile.Application{{Binding: record.Binding{Namespace: "n", Application: "web"},
		Objects: []record.KeyVersion{{Key: key("own"), Version: version}}}}}, time.Now())
	steps := []struct {
		name    string
		outcome feed.Outcome
		want    int
	}{
		{"an application's own is refused", feed.Outcome{Key: key("own"), Version: version, Rejection: refused}, 0},
		{"a stub is applied", feed.Outcome{Key: key("stub"), Version: version}, 0},
		{"a stub is refused", feed.Outcome{Key: key("stub"), Version: version, Rejection: refused}, 1},
		{"its removal is held back", feed.Outcome{Key: key("stub"), Held: true}, 0},
		{"it is applied after all", feed.Outcome{Key: key("stub"), Version: version}, 1},
		{"it is applied again", feed.Outcome{Key: key("stub"), Version: version}, 0},
	}
	for _, s := range steps {
		b.acked("c1", []feed.Outcome{s.outcome})
		got := b.echoes.take()
		if len(got) != s.want {
			t.Errorf("%s: the compiler hears %+v, want %d", s.name, got, s.want)
		}
		for _, e := range got {
			if e.Cluster != "c1" || e.Key != s.outcome.Key || e.Rejection != s.outcome.Rejection {
				t.Errorf("%s: the compiler hears %+v, want the outcome %+v", s.name, e, s.outcome)
			}
		}
	}
	b.expect("c1", &compile.Shift{Awaits: []record.Key{key("own"), key("gone")}}, time.Now())
	b.acked("c1", []feed.Outcome{{Key: key("own"), Version: version}, {Key: key("gone")}, {Key: key("another"), Version: version}})
	if got := b.echoes.take(); len(got) != 2 || got[0].Version != version || got[1].Key != key("gone") {
		t.Errorf("of what it waits for, the compiler hears %+v, want that one is there and one is gone", got)
	}
	for _, inSync := range []bool{false, true, false, true} {
		b.state("c1", feed.Status{InSync: inSync, Heard: true})
	}
	b.session("c1", false)
	b.session("c1", true)
	b.state("c1", feed.Status{InSync: true})
	b.state("c1", feed.Status{InSync: true, Heard: true})
	if got := b.echoes.take(); len(got) != 2 || got[0] != (compile.Echo{Cluster: "c1"}) {
		t.Errorf("of two sessions in which all was in sync, the compiler hears %+v, want once of each", got)
	}
	b.acked("c2", []feed.Outcome{{Key: key("stub"), Rejection: refused}})
	if got := b.echoes.take(); len(got) > 0 {
		t.Errorf("of a cluster that is not owned, the compiler hears %+v", got)
	}
}

// TestWorkloadEnds has a workload go of which the compiler waits to hear: it is gone when its agent no longer reports it.
func TestWorkloadEnds(t *testing.T) {
	key := func(name string) record.Key {
		return object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "n", Name: name}.Key()
	}
	report := func(name string) record.Record { return record.Status{Namespace: "n", Application: name}.Record() }
	b := newBoard("a", "west", time.Minute)
	b.add("c1", feed.Fence{})
	b.expect("c1", &compile.Shift{Awaits: []record.Key{key("slow"), key("quick"), key("lost")}}, time.Now())
	b.take("c1", feed.Batch{Puts: []*record.Record{new(report("slow")), new(report("other"))}})
	b.acked("c1", []feed.Outcome{{Key: key("slow")}, {Key: key("quick")}})
	if got := b.echoes.take(); len(got) != 1 || got[0].Key != key("quick") {
		t.Errorf("removals are acknowledged, and the compiler hears %+v, want of the one that does not run", got)
	}
	b.state("c1", feed.Status{InSync: true, Heard: true})
	heard := map[record.Key]bool{}
	for _, e := range b.echoes.take() {
		heard[e.Key] = true
	}
	if !heard[key("lost")] || heard[key("slow")] {
		t.Errorf("all is in sync, and the compiler hears of %v, want of what does not run alone", heard)
	}
	b.take("c1", feed.Batch{Removals: []feed.Removal{{Key: report("slow").Key}, {Key: report("other").Key}}})
	if got := b.echoes.take(); len(got) != 1 || got[0].Key != key("slow") {
		t.Errorf("it has ended, and the compiler hears %+v", got)
	}
}
