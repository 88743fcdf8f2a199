package simagent

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestRoundOf(t *testing.T) {
	deployment := record.Key{Kind: record.KindObject, Name: "apps/v1/Deployment/load/a"}
	for name, c := range map[string]struct {
		key     record.Key
		content string
		want    int
	}{
		"round":        {deployment, `{"spec":{"containers":[{"image":"example.com:443/a:17","name":"x"}]}}`, 17},
		"no tag":       {deployment, `{"image":"example.com/a"}`, -1},
		"not a number": {deployment, `{"image":"example.com/a:latest"}`, -1},
		"no image":     {deployment, `{}`, -1},
		"another kind": {record.Key{Kind: record.KindObject, Name: "core/v1/Service/load/a"}, `{"image":"a:1"}`, -1},
	} {
		if got := roundOf(record.New(c.key, []byte(c.content))); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestClusterTellsOfWrites(t *testing.T) {
	key := record.Key{Kind: record.KindObject, Name: "apps/v1/Deployment/load/a"}
	first, second := record.New(key, []byte(`{"image":"a:1"}`)), record.New(key, []byte(`{"image":"a:22"}`))
	var got []Write
	c := newCluster("x", func(w Write) { got = append(got, w) })
	fence := feed.Fence{Epoch: 1, Fence: 2}
	c.put(first, fence)
	c.put(second, fence)
	if holds := c.versions(); len(holds) != 1 || holds[key] != second.Version {
		t.Errorf("got %v, want %s alone", holds, second.Version)
	}
	c.remove(key, fence)
	if holds := c.versions(); len(holds) != 0 {
		t.Errorf("after the removal: got %v, want nothing", holds)
	}
	want := []Write{{Version: first.Version, Round: 1}, {Version: second.Version, Before: first.Version, Round: 22},
		{Before: second.Version, Round: -1}}
	if len(got) != len(want) {
		t.Fatalf("got %d writes, want %d", len(got), len(want))
	}
	for i, w := range got {
		if w.Version != want[i].Version || w.Before != want[i].Before || w.Round != want[i].Round || w.Key != key || w.Cluster != "x" || w.Fence != fence {
			t.Errorf("write %d: got %+v, want %+v", i, w, want[i])
		}
	}
}
