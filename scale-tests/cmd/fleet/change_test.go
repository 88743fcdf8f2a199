package main

import (
	"slices"
	"testing"
	"time"
)

func TestStaleness(t *testing.T) {
	a, b := &application{name: "a"}, &application{name: "b"}
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	two := func(*application) int { return 2 }
	for name, c := range map[string]struct {
		changes  []change
		arrivals []arrival
		want     []int // milliseconds, in any order
		missing  int
	}{
		"each cluster": {[]change{{a, 1, at(0)}}, []arrival{{"a", "x", 1, at(5)}, {"a", "y", 1, at(9)}}, []int{5, 9}, 0},
		"a later round will do": {[]change{{a, 1, at(0)}, {a, 2, at(10)}},
			[]arrival{{"a", "x", 1, at(5)}, {"a", "x", 2, at(12)}, {"a", "y", 2, at(15)}}, []int{2, 5, 5, 15}, 0},
		"not an earlier one":        {[]change{{a, 2, at(0)}}, []arrival{{"a", "x", 1, at(5)}, {"a", "y", 2, at(6)}}, []int{6}, 1},
		"not another application's": {[]change{{a, 1, at(0)}}, []arrival{{"b", "x", 1, at(5)}, {"b", "y", 1, at(5)}}, nil, 2},
		"the first counts":          {[]change{{b, 1, at(0)}}, []arrival{{"b", "x", 1, at(8)}, {"b", "x", 1, at(5)}, {"b", "y", 1, at(7)}}, []int{5, 7}, 0},
		"before the moment":         {[]change{{a, 1, at(10)}}, []arrival{{"a", "x", 1, at(8)}, {"a", "y", 1, at(11)}}, []int{0, 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			took, missing := staleness(c.changes, c.arrivals, two)
			var got []int
			for _, d := range took {
				got = append(got, int(d.Milliseconds()))
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) || missing != c.missing {
				t.Errorf("got %v and %d missing, want %v and %d", got, missing, c.want, c.missing)
			}
		})
	}
}
