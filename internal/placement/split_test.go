package placement_test

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/placement"
)

// TestSplit checks sum, fairness, determinism and movement on random weights.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int32Range(0, 1000).Draw(t, "total")
		n := rapid.IntRange(1, 12).Draw(t, "n")
		weights, even := map[string]int64{}, map[string]int64{}
		var sum int64
		for i := range n {
			w := rapid.Int64Range(1, 50).Draw(t, "weight")
			weights[fmt.Sprint(i)], even[fmt.Sprint(i)] = w, 1
			sum += w
		}
		before := placement.Split(total, even, nil)
		got := placement.Split(total, weights, before)
		var placed int32
		for name, count := range got {
			placed += count
			exact := float64(total) * float64(weights[name]) / float64(sum)
			if float64(count) <= exact-1 || float64(count) >= exact+1 {
				t.Fatalf("%s got %d, want within one of %.2f", name, count, exact)
			}
		}
		if placed != total {
			t.Fatalf("placed %d, want %d", placed, total)
		}
		if again := placement.Split(total, weights, got); !maps.Equal(again, got) {
			t.Fatalf("a second split moved replicas: %v, then %v", got, again)
		}
	})
}

// TestSplitMoves counts what moves in the common changes.
func TestSplitMoves(t *testing.T) {
	weights := func(names ...string) map[string]int64 {
		out := map[string]int64{}
		for _, name := range names {
			out[name] = 1
		}
		return out
	}
	tests := map[string]struct {
		total   int32
		weights map[string]int64
		current map[string]int32
		want    map[string]int32
	}{
		"nothing yet":                {7, weights("a", "b", "c"), nil, map[string]int32{"a": 3, "b": 2, "c": 2}},
		"the extra one stays put":    {7, weights("a", "b", "c"), map[string]int32{"a": 2, "b": 2, "c": 3}, map[string]int32{"a": 2, "b": 2, "c": 3}},
		"one more":                   {8, weights("a", "b", "c"), map[string]int32{"a": 2, "b": 2, "c": 3}, map[string]int32{"a": 3, "b": 2, "c": 3}},
		"a name goes":                {6, weights("a", "b"), map[string]int32{"a": 2, "b": 2, "c": 2}, map[string]int32{"a": 3, "b": 3}},
		"a name comes":               {6, weights("a", "b", "c"), map[string]int32{"a": 3, "b": 3}, map[string]int32{"a": 2, "b": 2, "c": 2}},
		"by weight":                  {10, map[string]int64{"a": 3, "b": 1}, nil, map[string]int32{"a": 8, "b": 2}},
		"fewer replicas than places": {1, weights("a", "b"), map[string]int32{"b": 1}, map[string]int32{"a": 0, "b": 1}},
		"nobody":                     {3, nil, nil, map[string]int32{}},
		"none":                       {0, weights("a"), map[string]int32{"a": 2}, map[string]int32{"a": 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := placement.Split(tt.total, tt.weights, tt.current); !maps.Equal(got, tt.want) {
				t.Errorf("Split = %v, want %v", got, tt.want)
			}
		})
	}
}
