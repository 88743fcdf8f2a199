package question

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestPageFits holds that a full page of objects that grow most when they are encoded fits an answer, below the nodes of
// all tiers.
func TestPageFits(t *testing.T) {
	object := json.RawMessage(`{"args":"` + strings.Repeat("<", 4000) + `"}`)
	var page Page
	n := 0
	for page.Add(fmt.Sprint(n), object) {
		n++
	}
	node := Node{Tier: TierCluster, Name: "c", Page: &page}
	for _, tier := range []Tier{TierZone, TierRegion, TierGlobal} {
		node = Node{Tier: tier, Name: string(tier), Children: []Node{node}}
	}
	b, err := Encode(node)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode[Node](b)
	if err != nil {
		t.Fatal(err)
	}
	cluster := got.At(Path{Region: "region", Zone: "zone", Cluster: "c"})
	if cluster == nil || cluster.Page == nil || len(cluster.Page.Objects) != n || got.Omitted != "" {
		t.Fatalf("got %+v, want a page of %d objects", cluster, n)
	}
	var before, after map[string]string
	if json.Unmarshal(object, &before) != nil || json.Unmarshal(cluster.Page.Objects[n-1], &after) != nil || before["args"] != after["args"] {
		t.Errorf("the object changed on its way: %.80s", cluster.Page.Objects[n-1])
	}
}

// TestPageNamesWhatIsTooLong holds that an object that no answer can hold is named, and stops nothing.
func TestPageNamesWhatIsTooLong(t *testing.T) {
	var page Page
	if !page.Add("long", make([]byte, MaxPage)) || !page.Add("short", []byte("{}")) {
		t.Fatal("an object did not fit an empty page")
	}
	if len(page.TooLong) != 1 || page.TooLong[0] != "long" || len(page.Objects) != 1 {
		t.Errorf("got %d objects, too long %v; want 1, [long]", len(page.Objects), page.TooLong)
	}
}

func TestNodeAt(t *testing.T) {
	tree := Node{Tier: TierGlobal, Name: "global", Children: []Node{{Tier: TierRegion, Name: "west",
		Children: []Node{{Tier: TierZone, Name: "a", Children: []Node{{Tier: TierCluster, Name: "c"}}}}}}}
	for path, want := range map[string]string{"global": "global", "region/west": "west", "region/west/zone/a": "a",
		"region/west/zone/a/cluster/c": "c", "region/east": "", "region/west/zone/b/cluster/c": ""} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if n := tree.At(p); n != nil {
			got = n.Name
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestCanIValidate(t *testing.T) {
	good := CanIRequest{Caller: ApplicationRequest{"shop", "checkout"}, Provider: ApplicationRequest{"payments", "ledger"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*CanIRequest){
		"a cluster":       func(r *CanIRequest) { r.Target = Path{"west", "a", "c"} },
		"no caller":       func(r *CanIRequest) { r.Caller = ApplicationRequest{} },
		"half a provider": func(r *CanIRequest) { r.Provider.Namespace = "" },
		"a port":          func(r *CanIRequest) { r.Port = 70000 },
		"a path":          func(r *CanIRequest) { r.Path = "v1" },
	} {
		r := good
		change(&r)
		if err := r.Validate(); err == nil {
			t.Errorf("%s: got no error of %+v", name, r)
		}
	}
}
