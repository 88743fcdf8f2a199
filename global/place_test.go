package global

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// world makes an inventory: zones by name with the number of their clusters, a region for each first letter.
func world(zones map[string]int) *inventory { return newInventory(worldResources(zones), nil) }

func worldResources(zones map[string]int) resources {
	var r resources
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	r.environments = append(r.environments, &v1alpha1.Environment{ObjectMeta: meta("prod")})
	r.networks = append(r.networks, &v1alpha1.Network{ObjectMeta: meta("net")})
	seen := map[string]bool{}
	for name, n := range zones {
		if region := name[:1]; !seen[region] {
			seen[region] = true
			r.regions = append(r.regions, &v1alpha1.Region{ObjectMeta: meta(region)})
		}
		r.zones = append(r.zones, &v1alpha1.Zone{ObjectMeta: meta(name), Spec: v1alpha1.ZoneSpec{Region: name[:1]}})
		for i := range n {
			r.clusters = append(r.clusters, &v1alpha1.Cluster{ObjectMeta: meta(fmt.Sprint(name, "-", i)),
				Spec: v1alpha1.ClusterSpec{Zone: name, Environments: []string{"prod"}, Network: "net"}})
		}
	}
	return r
}

func byName(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelName: name}}
}

func TestPlace(t *testing.T) {
	inv := world(map[string]int{"w1": 2, "w2": 1, "e1": 1})
	spec := func(replicas int32, p v1alpha1.Placement) v1alpha1.ApplicationSpec {
		return v1alpha1.ApplicationSpec{Replicas: &replicas, Placement: p}
	}
	tests := map[string]struct {
		environment string
		spec        v1alpha1.ApplicationSpec
		current     map[string]record.Assignment
		want        map[string]int32
		refused     string
	}{
		"divided by clusters":   {"prod", spec(8, v1alpha1.Placement{}), nil, map[string]int32{"w1": 4, "w2": 2, "e1": 2}, ""},
		"fewer than zones":      {"prod", spec(1, v1alpha1.Placement{}), nil, map[string]int32{"w1": 1}, ""},
		"the one stays":         {"prod", spec(1, v1alpha1.Placement{}), map[string]record.Assignment{"e1": {Replicas: 1}}, map[string]int32{"e1": 1}, ""},
		"none keeps all else":   {"prod", spec(0, v1alpha1.Placement{}), nil, map[string]int32{"w1": 0, "w2": 0, "e1": 0}, ""},
		"duplicated":            {"prod", spec(3, v1alpha1.Placement{Mode: v1alpha1.PlacementDuplicated}), nil, map[string]int32{"w1": 3, "w2": 3, "e1": 3}, ""},
		"one region":            {"prod", spec(4, v1alpha1.Placement{Regions: byName("e")}), nil, map[string]int32{"e1": 4}, ""},
		"one zone":              {"prod", spec(4, v1alpha1.Placement{Zones: byName("w2")}), nil, map[string]int32{"w2": 4}, ""},
		"one cluster":           {"prod", spec(4, v1alpha1.Placement{Clusters: byName("w1-1")}), nil, map[string]int32{"w1": 4}, ""},
		"spread over clusters":  {"prod", spec(6, v1alpha1.Placement{Spread: &v1alpha1.Spread{MaxClustersPerZone: 1}}), nil, map[string]int32{"w1": 2, "w2": 2, "e1": 2}, ""},
		"no such region":        {"prod", spec(4, v1alpha1.Placement{Regions: byName("n")}), nil, nil, "placement.regions selects no region"},
		"no such zone":          {"prod", spec(4, v1alpha1.Placement{Zones: byName("n1")}), nil, nil, "placement.zones selects no zone"},
		"no such cluster":       {"prod", spec(4, v1alpha1.Placement{Clusters: byName("n")}), nil, nil, "cluster e1-0 is not selected by placement.clusters"},
		"no cluster for it":     {"staging", spec(4, v1alpha1.Placement{}), nil, nil, "does not list environment staging"},
		"a region with no zone": {"prod", spec(4, v1alpha1.Placement{Regions: byName("w"), Zones: byName("e1")}), nil, nil, "selects no zone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, why := inv.place("shop/cart", tt.environment, &tt.spec, tt.current)
			if tt.refused != "" {
				if why == nil || !strings.Contains(why.message, tt.refused) {
					t.Errorf("place = %v, %v; want a refusal with %q", got, why, tt.refused)
				}
				return
			}
			if why != nil || !maps.Equal(got, tt.want) {
				t.Errorf("place = %v, %v; want %v", got, why, tt.want)
			}
		})
	}
}

// TestPlaceMovesLittle adds a zone to random inventories: a choice of some zones changes only by that zone's coming in,
// and the same inputs choose the same.
func TestPlaceMovesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := map[string]int{}
		for i := range rapid.IntRange(1, 10).Draw(t, "zones") {
			zones[fmt.Sprint("w", i)] = rapid.IntRange(1, 3).Draw(t, "clusters")
		}
		replicas := rapid.Int32Range(50, 100).Draw(t, "replicas")
		spec := v1alpha1.ApplicationSpec{Replicas: &replicas, Placement: v1alpha1.Placement{
			Spread: &v1alpha1.Spread{MaxZones: rapid.Int32Range(1, 4).Draw(t, "most")}}}
		before, why := world(zones).place("shop/cart", "prod", &spec, nil)
		if why != nil {
			t.Fatal(why.message)
		}
		if again, _ := world(zones).place("shop/cart", "prod", &spec, nil); !maps.Equal(before, again) {
			t.Fatalf("the same inventory gives %v, then %v", before, again)
		}
		zones["e0"] = 1
		after, _ := world(zones).place("shop/cart", "prod", &spec, nil)
		for name := range after {
			if _, was := before[name]; !was && name != "e0" {
				t.Fatalf("zone %s came in though only e0 was added: %v, then %v", name, before, after)
			}
		}
		var sum int32
		for n := range maps.Values(after) {
			sum += n
		}
		if sum != replicas {
			t.Fatalf("%v sums to %d, want %d", after, sum, replicas)
		}
	})
}

// TestInventoryKeepsWhatStood shows that a cluster whose references break, or which is missing, stays as it was.
func TestInventoryKeepsWhatStood(t *testing.T) {
	inv := world(map[string]int{"w1": 2})
	standing := maps.Clone(inv.clusters)
	broken := resources{zones: []*v1alpha1.Zone{{ObjectMeta: metav1.ObjectMeta{Name: "w1"}, Spec: v1alpha1.ZoneSpec{Region: "w"}}},
		clusters: []*v1alpha1.Cluster{{ObjectMeta: metav1.ObjectMeta{Name: "w1-0"}, Spec: v1alpha1.ClusterSpec{Zone: "w1"}}}}
	got := newInventory(broken, standing)
	if !maps.EqualFunc(got.clusters, standing, func(a, b record.Cluster) bool { return a.Record().Version == b.Record().Version }) {
		t.Errorf("clusters are %v, want %v", got.clusters, standing)
	}
	if why := got.refusedClusters["w1-0"]; !strings.Contains(why, "there is no accepted Zone w1") {
		t.Errorf("w1-0 is refused with %q", why)
	}
	if names := slices.Sorted(maps.Keys(got.zones)); !slices.Equal(names, []string{"w1"}) || len(got.zones["w1"].clusters) != 2 {
		t.Errorf("zones are %v, want w1 with both clusters", got.zones)
	}
}
