package az

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// revisionOf is a revision with a placement, in environment prod.
func revisionOf(t interface{ Fatal(...any) }, app string, p v1alpha1.Placement) record.Revision {
	spec, err := json.Marshal(map[string]any{"placement": p})
	if err != nil {
		t.Fatal(err)
	}
	return record.Revision{Namespace: "n", Application: app, Environment: "prod", Spec: spec}
}

func termsOf(t interface{ Fatal(...any) }, p v1alpha1.Placement) *terms {
	out, err := readTerms(revisionOf(t, "a", p).Record())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func clusterNamed(name string, taints ...record.Taint) record.Cluster {
	return record.Cluster{Name: name, Zone: "z", Region: "r", Environments: []string{"prod"}, Taints: taints,
		Labels: map[string]string{"size": "small"}}
}

// shares is bindings as CLUSTER=REPLICAS, with "-" behind one that drains and ":REV" behind one of another revision.
func shares(bindings map[string]record.Binding) string {
	var out []string
	for _, cluster := range slices.Sorted(maps.Keys(bindings)) {
		b := bindings[cluster]
		text := fmt.Sprintf("%s=%d", cluster, b.Replicas)
		if b.Revision != "new" {
			text += ":" + b.Revision
		}
		if b.Draining {
			text += "-"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestDecide(t *testing.T) {
	three := []record.Cluster{clusterNamed("c1"), clusterNamed("c2"), clusterNamed("c3")}
	noSchedule := record.Taint{Key: "full", Effect: "NoSchedule"}
	noExecute := record.Taint{Key: "broken", Effect: "NoExecute"}
	only := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelName: name}}
	}
	bound := func(revision string, replicas map[string]int32) map[string]record.Binding {
		out := map[string]record.Binding{}
		for cluster, n := range replicas {
			out[cluster] = record.Binding{Namespace: "n", Application: "a", Cluster: cluster, Revision: revision, Replicas: n}
		}
		return out
	}
	divided := v1alpha1.Placement{Mode: v1alpha1.PlacementDivided}
	tests := map[string]struct {
		placement v1alpha1.Placement
		clusters  []record.Cluster
		replicas  int32
		draining  bool
		current   map[string]record.Binding
		weights   weights
		settled   bool
		want      string
		problem   string
	}{
		"divided":                       {placement: divided, clusters: three, replicas: 7, want: "c1=3 c2=2 c3=2"},
		"divided by weight":             {placement: divided, clusters: three, replicas: 10, weights: weights{"c1": 8}, want: "c1=8 c2=1 c3=1"},
		"too few to go round":           {placement: divided, clusters: three, replicas: 2, want: "c1=1 c2=1"},
		"scaled to nothing":             {placement: divided, clusters: three, replicas: 0, want: "c1=0 c2=0 c3=0"},
		"duplicated":                    {placement: v1alpha1.Placement{Mode: v1alpha1.PlacementDuplicated}, clusters: three, replicas: 2, want: "c1=2 c2=2 c3=2"},
		"singleton stays":               {placement: v1alpha1.Placement{Mode: v1alpha1.PlacementSingleton}, clusters: three, replicas: 4, current: bound("new", map[string]int32{"c2": 4}), settled: true, want: "c2=4"},
		"bounded spread":                {placement: v1alpha1.Placement{Mode: v1alpha1.PlacementDuplicated, Spread: &v1alpha1.Spread{MaxClustersPerZone: 1}}, clusters: three, replicas: 1, want: "c3=1"},
		"selected by name":              {placement: v1alpha1.Placement{Clusters: only("c2")}, clusters: three, replicas: 3, want: "c2=3"},
		"NoSchedule lets what is there": {placement: divided, clusters: []record.Cluster{clusterNamed("c1", noSchedule), clusterNamed("c2")}, replicas: 2, current: bound("new", map[string]int32{"c1": 2}), settled: true, want: "c1=1 c2=1"},
		"NoSchedule keeps others out":   {placement: divided, clusters: []record.Cluster{clusterNamed("c1", noSchedule), clusterNamed("c2")}, replicas: 2, want: "c2=2"},
		"NoExecute: made before broken": {placement: divided, clusters: []record.Cluster{clusterNamed("c1", noExecute), clusterNamed("c2")}, replicas: 2, current: bound("old", map[string]int32{"c1": 2}), want: "c1=2:old- c2=2"},
		"NoExecute: broken when made":   {placement: divided, clusters: []record.Cluster{clusterNamed("c1", noExecute), clusterNamed("c2")}, replicas: 2, current: bound("old", map[string]int32{"c1": 2}), settled: true, want: "c2=2"},
		"cluster gone":                  {placement: divided, clusters: three[:2], replicas: 2, current: bound("new", map[string]int32{"c3": 2}), want: "c1=1 c2=1"},
		"nothing fits, all stays": {placement: v1alpha1.Placement{Clusters: only("c9")}, clusters: three, replicas: 2, current: bound("old", map[string]int32{"c1": 2}),
			want: "c1=2:old", problem: "cluster c1 is not selected by placement.clusters"},
		"no cluster":           {placement: divided, replicas: 2, problem: "the zone has no cluster"},
		"zone being left":      {placement: divided, clusters: three, replicas: 2, draining: true, current: bound("old", map[string]int32{"c1": 2}), want: "c1=2:old-"},
		"zone left, then back": {placement: divided, clusters: three[:1], replicas: 2, current: map[string]record.Binding{"c1": {Namespace: "n", Application: "a", Cluster: "c1", Revision: "old", Replicas: 2, Draining: true}}, want: "c1=2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			task := task{terms: termsOf(t, tt.placement), clusters: tt.clusters, current: tt.current, weight: tt.weights.of,
				assignment: record.Assignment{Namespace: "n", Application: "a", Zone: "z", Revision: "new", Replicas: tt.replicas, Draining: tt.draining},
				settled:    func(record.Binding) bool { return tt.settled }}
			got, problem := task.decide()
			if shares(got) != tt.want {
				t.Errorf("bindings: got %q, want %q", shares(got), tt.want)
			}
			if (problem == nil) != (tt.problem == "") || problem != nil && !strings.Contains(problem.Message, tt.problem) {
				t.Errorf("problem: got %v, want %q", problem, tt.problem)
			}
		})
	}
}

// TestDecideProperties checks sums, determinism, and that a second decision changes nothing, on random zones.
func TestDecideProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := weights{}
		var clusters []record.Cluster
		for i := range rapid.IntRange(1, 8).Draw(t, "clusters") {
			name := fmt.Sprint("c", i)
			clusters = append(clusters, clusterNamed(name))
			w.observe(name, rapid.Int32Range(1, 500).Draw(t, "nodes"))
		}
		mode := rapid.SampledFrom([]v1alpha1.PlacementMode{v1alpha1.PlacementDivided, v1alpha1.PlacementDuplicated,
			v1alpha1.PlacementSingleton}).Draw(t, "mode")
		p := v1alpha1.Placement{Mode: mode}
		if mode != v1alpha1.PlacementSingleton {
			p.Spread = &v1alpha1.Spread{MaxClustersPerZone: rapid.Int32Range(0, 4).Draw(t, "most")}
		}
		replicas := rapid.Int32Range(0, 40).Draw(t, "replicas")
		decide := func(in []record.Cluster, current map[string]record.Binding) map[string]record.Binding {
			out, _ := task{assignment: record.Assignment{Namespace: "n", Application: "a", Revision: "new", Replicas: replicas},
				terms: termsOf(t, p), clusters: in, weight: w.of, current: current,
				settled: func(record.Binding) bool { return true }}.decide()
			return out
		}
		first := decide(clusters, nil)
		var sum int32
		for _, b := range first {
			sum += b.Replicas
		}
		if mode == v1alpha1.PlacementDuplicated {
			sum /= int32(len(first))
		}
		if sum != replicas {
			t.Fatalf("bindings %s sum to %d, want %d", shares(first), sum, replicas)
		}
		if again := decide(clusters, first); !reflect.DeepEqual(again, first) {
			t.Fatalf("a second decision: got %s, want %s", shares(again), shares(first))
		}
		if len(clusters) == 1 || mode == v1alpha1.PlacementDivided { // a large cluster that comes in takes the shares of small ones
			return
		}
		gone := rapid.IntRange(0, len(clusters)-1).Draw(t, "gone")
		rest := slices.Delete(slices.Clone(clusters), gone, gone+1)
		after := decide(rest, first)
		for cluster := range first {
			if _, stays := after[cluster]; !stays && cluster != clusters[gone].Name {
				t.Fatalf("%s left and %s lost its binding: %s, then %s", clusters[gone].Name, cluster, shares(first), shares(after))
			}
		}
	})
}

func TestWeights(t *testing.T) {
	w := weights{}
	steps := []struct {
		nodes   int32
		changed bool
		want    int64
	}{
		{0, false, 1}, {1, false, 1}, {100, true, 100}, {109, false, 100}, {110, true, 110}, {100, false, 110}, {99, true, 99}, {0, false, 99},
	}
	for _, s := range steps {
		if changed := w.observe("c", s.nodes); changed != s.changed || w.of("c") != s.want {
			t.Errorf("observe(%d) = %t and weight %d, want %t and %d", s.nodes, changed, w.of("c"), s.changed, s.want)
		}
	}
	back, err := decodeWeights(w.encode())
	if err != nil || !maps.Equal(back, w) {
		t.Errorf("decoded: got %v, %v, want %v", back, err, w)
	}
}
