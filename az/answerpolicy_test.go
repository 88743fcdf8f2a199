package az_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// TestExport reads what is compiled for each cluster of a zone of two replicas, and holds it against what the agent was
// sent, whichever replica has it.
func TestExport(t *testing.T) {
	z := newShared(t, 2, 4)
	z.awaitOwners("r0", "r1")
	z.everywhere(app{name: "cart", image: "cart:1"})
	z.overview("all replicas tell the leader", func(n question.Node) bool {
		return !slices.ContainsFunc(n.Overview.Replicas, func(r question.Replica) bool { return !r.Connected })
	})
	for name, agent := range z.agents {
		node := ask(t, z.parent, question.KindExport, question.ExportRequest{Cluster: name,
			Target: question.Path{Region: "west", Zone: "a", Cluster: name}})
		if len(node.Children) != 1 || node.Children[0].Page == nil || node.Children[0].Name != name {
			t.Fatalf("%s: got %+v, want a page", name, node)
		}
		page, held := node.Children[0].Page, agent.Held()
		if len(page.Objects) != len(held) || page.Total != len(held) || page.Next != "" || page.Digest == "" {
			t.Errorf("%s: got %d of %d objects and then %q, want %d", name, len(page.Objects), page.Total, page.Next, len(held))
		}
		var rank int
		for _, o := range page.Objects {
			key := keyOf(t, o)
			if got, want := string(o), string(held[key].Content); got != want {
				t.Errorf("%s: %s\ngot  %s\nwant %s", name, key, got, want)
			}
			if r := object.Rank(key); r < rank {
				t.Errorf("%s: %s comes too late", name, key)
			} else {
				rank = r
			}
		}
	}
	if _, err := z.parent.Ask(t, question.KindExport, []byte(`{"cluster":"c9","target":"region/west/zone/a/cluster/c9"}`)); err == nil ||
		!strings.Contains(err.Error(), "cluster c9 is not in zone a") {
		t.Errorf("a cluster that is not there: got %v", err)
	}
}

// TestExportOfAMuteOwner asks for a cluster whose owner has no session with the leader.
func TestExportOfAMuteOwner(t *testing.T) {
	z := newShared(t, 2, 6)
	z.awaitOwners("r0", "r1")
	mute := z.mute()[0]
	tiertest.Await(t, "the leader says who does not answer", func() bool {
		node := ask(t, z.parent, question.KindExport, question.ExportRequest{Cluster: mute,
			Target: question.Path{Region: "west", Zone: "a", Cluster: mute}})
		return slices.Equal(unanswered(node), []string{mute + ": replica r2 serves it: not connected"})
	})
}

// keyOf reads which object a manifest is, by its own mark.
func keyOf(t *testing.T, manifest []byte) record.Key {
	t.Helper()
	var o struct {
		Metadata struct{ Annotations map[string]string } `json:"metadata"`
	}
	if err := json.Unmarshal(manifest, &o); err != nil {
		t.Fatal(err)
	}
	id, err := object.ParseID(o.Metadata.Annotations[object.AnnotationSelf])
	if err != nil {
		t.Fatalf("%v has no mark: %v", slices.Collect(maps.Keys(o.Metadata.Annotations)), err)
	}
	return id.Key()
}

// TestCanI asks a zone about what it holds the policy of, and about what it does not.
func TestCanI(t *testing.T) {
	z := newZone(t, "c1")
	z.parent.Put(
		record.Policy{Namespace: "n", Application: "cart", Environment: "prod", Rules: []record.Rule{{Policy: "shop",
			Callers: []record.Caller{{Namespace: "shop", Application: "web"}}, Ports: []int32{80}}}}.Record(),
		record.Service{Namespace: "n", Application: "cart", Ports: []record.Port{{Name: "http", Port: 80}}}.Record())
	at := question.Path{Region: "west", Zone: "a"}
	request := question.CanIRequest{Target: at, Caller: question.ApplicationRequest{Namespace: "shop", Name: "web"},
		Provider: question.ApplicationRequest{Namespace: "n", Name: "cart"}, Port: 80}
	z.parent.AwaitSession(t, "the zone is connected", func(feed.Status) bool { return true })
	tiertest.Await(t, "the zone has the policy", func() bool {
		return ask(t, z.parent, question.KindCanI, request).Verdict.Unknown == ""
	})
	if v := ask(t, z.parent, question.KindCanI, request).Verdict; v == nil || !v.Allowed || v.Rule != "AccessPolicy n/shop rule 1" {
		t.Errorf("got %+v, want it allowed", v)
	}
	request.Caller.Name = "admin"
	if v := ask(t, z.parent, question.KindCanI, request).Verdict; v == nil || v.Allowed || v.Reason == "" {
		t.Errorf("another caller: got %+v, want it refused", v)
	}
	request.Provider.Name = "bank"
	if v := ask(t, z.parent, question.KindCanI, request).Verdict; v == nil || v.Allowed || v.Unknown == "" {
		t.Errorf("another application: got %+v, want it unknown", v)
	}
}
