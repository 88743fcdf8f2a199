package rollup_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
)

func at(second int64) time.Time { return time.Unix(second, 0) }

func TestSum(t *testing.T) {
	ready := func(rev string, n int32, second int64) record.Counts {
		return record.Counts{Revision: rev, Desired: n, Updated: n, Ready: n, Clusters: 1, Converged: 1,
			AppliedAt: at(second), ReadyAt: at(second + 1)}
	}
	behind := record.Counts{Revision: "r1", Desired: 2, Updated: 2, Ready: 1, Clusters: 1, Converged: 1, AppliedAt: at(9)}
	pending := record.Counts{Revision: "r1", Desired: 1, Clusters: 1}
	tests := map[string]struct {
		parts []record.Counts
		want  record.Counts
	}{
		"nothing": {nil, record.Counts{}},
		"one":     {[]record.Counts{ready("r1", 2, 5)}, ready("r1", 2, 5)},
		"all ready: the last counts": {[]record.Counts{ready("r1", 2, 5), ready("r1", 1, 3)},
			record.Counts{Revision: "r1", Desired: 3, Updated: 3, Ready: 3, Clusters: 2, Converged: 2, AppliedAt: at(5), ReadyAt: at(6)}},
		"one not ready": {[]record.Counts{ready("r1", 2, 5), behind},
			record.Counts{Revision: "r1", Desired: 4, Updated: 4, Ready: 3, Clusters: 2, Converged: 2, AppliedAt: at(9)}},
		"one not applied": {[]record.Counts{ready("r1", 2, 5), pending},
			record.Counts{Revision: "r1", Desired: 3, Updated: 2, Ready: 2, Clusters: 2, Converged: 1}},
		"revisions differ": {[]record.Counts{ready("r1", 1, 1), ready("r2", 1, 1)},
			record.Counts{Desired: 2, Updated: 2, Ready: 2, Clusters: 2, Converged: 2, AppliedAt: at(1), ReadyAt: at(2)}},
		"a place being left is not counted": {[]record.Counts{ready("r2", 1, 1), {Revision: "r1"}}, ready("r2", 1, 1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := rollup.Sum(slices.Values(tt.parts)); got != tt.want {
				t.Errorf("Sum:\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	var all []record.Problem
	for i := range 12 {
		p := record.Problem{Cluster: fmt.Sprintf("c%02d", 11-i), Message: "m"}
		all = append(all, p, p)
	}
	got := rollup.Problems(all)
	if len(got) != record.MaxProblems || got[0].Cluster != "c00" || got[1].Cluster != "c01" {
		t.Errorf("Problems = %v, want the first %d in order, each once", got, record.MaxProblems)
	}
}

// TestTableAgainstModel edits a table at random and holds every sum against one made from nothing.
func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rollup.NewTable()
		type place struct{ child, app string }
		model := map[place]record.Status{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			child := fmt.Sprint("z", rapid.IntRange(0, 3).Draw(t, "child"))
			app := fmt.Sprint("a", rapid.IntRange(0, 3).Draw(t, "app"))
			p := place{child, "n/" + app}
			if rapid.Bool().Draw(t, "remove") {
				delete(model, p)
				table.Remove(child, p.app)
			} else {
				n := rapid.Int32Range(0, 3).Draw(t, "n")
				s := record.Status{Namespace: "n", Application: app,
					Counts: record.Counts{Revision: "r", Desired: n, Ready: n, Updated: n, Clusters: 1, Converged: 1}}
				s.Lines = []record.Line{{Zone: child, Counts: s.Counts}}
				model[p] = s
				table.Put(child, s)
			}
			fresh := rollup.NewTable()
			for p, s := range model {
				fresh.Put(p.child, s)
			}
			if got, want := table.Apps(), fresh.Apps(); !slices.Equal(got, want) {
				t.Fatalf("Apps = %v, want %v", got, want)
			}
			for _, app := range fresh.Apps() {
				got, _ := table.Merge(app)
				want, _ := fresh.Merge(app)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("Merge(%s):\n got %+v\nwant %+v", app, got, want)
				}
				if len(got.Lines) != int(got.Clusters) {
					t.Fatalf("Merge(%s) has %d lines for %d clusters", app, len(got.Lines), got.Clusters)
				}
			}
			if got, want := table.Of(child), fresh.Of(child); !slices.Equal(got, want) {
				t.Fatalf("Of(%s) = %v, want %v", child, got, want)
			}
		}
	})
}
