package global

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestApplicationStatus(t *testing.T) {
	const hash = "0123456789abcdef"
	inZone := func(zone string) record.Assignment {
		return record.Assignment{Zone: zone, Region: "w", Revision: hash, Replicas: 2}
	}
	line := func(zone, revision string, ready, converged int32) record.Line {
		return record.Line{Zone: zone, Region: "w", Counts: record.Counts{Revision: revision, Desired: 2, Updated: 2,
			Ready: ready, Clusters: 1, Converged: converged}}
	}
	two := map[string]record.Assignment{"w1": inZone("w1"), "w2": inZone("w2")}
	no := &refusal{"InvalidSpec", "not so"}
	tests := map[string]struct {
		plan     plan
		reported record.Status
		want     string // conditions that are not True, as TYPE=REASON
		summary  string
		message  string
	}{
		"ready": {plan{hash: hash, desired: two}, record.Status{Lines: []record.Line{line("w1", hash, 2, 1), line("w2", hash, 2, 1)}},
			"", "4/4", ""},
		"nothing heard yet": {plan{hash: hash, desired: two}, record.Status{},
			"Converged=Progressing Ready=Progressing", "0/0", ""},
		"one zone has another revision": {plan{hash: hash, desired: two},
			record.Status{Lines: []record.Line{line("w1", hash, 2, 1), line("w2", "old", 2, 1)}},
			"Converged=Progressing Ready=Progressing", "4/4", ""},
		"a pod is missing": {plan{hash: hash, desired: two},
			record.Status{Lines: []record.Line{line("w1", hash, 2, 1), line("w2", hash, 1, 1)}},
			"Ready=ReplicasNotReady", "3/4", ""},
		"a zone that is left counts nothing": {plan{hash: hash, desired: map[string]record.Assignment{"w1": inZone("w1")}},
			record.Status{Lines: []record.Line{line("w1", hash, 2, 1), {Zone: "w2", Region: "w", Counts: record.Counts{Revision: "old"}}}},
			"", "2/2", ""},
		"a cluster refuses": {plan{hash: hash, desired: two},
			record.Status{Lines: []record.Line{line("w1", hash, 2, 1), line("w2", hash, 2, 0)},
				Problems: []record.Problem{{Cluster: "c", Object: "Service shop/web", Reason: "ObjectExists", Message: "it is there"}}},
			"Converged=Progressing Ready=Progressing", "4/4", "c: Service shop/web: it is there"},
		"refused, new": {plan{refused: no}, record.Status{},
			"Accepted=InvalidSpec Placed=NotAccepted DependenciesResolved=NotAccepted Converged=NotAccepted Ready=NotAccepted", "0/0", "not so"},
		"refused, running": {plan{hash: hash, refused: no, desired: two}, record.Status{Lines: []record.Line{line("w1", hash, 2, 1)}},
			"Accepted=InvalidSpec DependenciesResolved=NotAccepted Converged=NotAccepted Ready=NotAccepted", "2/2", "not so"},
		"placed nowhere": {plan{unplaced: &refusal{"NoMatchingZone", "none"}}, record.Status{},
			"Placed=NoMatchingZone Converged=NothingPlaced Ready=NothingPlaced", "0/0", "none"},
		"unresolved": {plan{hash: hash, desired: map[string]record.Assignment{"w1": inZone("w1")}, unresolved: &refusal{"DependencyNotFound", "who"}},
			record.Status{Lines: []record.Line{line("w1", hash, 2, 1)}}, "DependenciesResolved=DependencyNotFound", "2/2", "who"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.plan.generation = 7
			got := applicationStatus(v1alpha1.ApplicationStatus{}, tt.plan, tt.reported)
			var not []string
			for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionPlaced, v1alpha1.ConditionDependenciesResolved,
				v1alpha1.ConditionConverged, v1alpha1.ConditionReady} {
				c := meta.FindStatusCondition(got.Conditions, kind)
				if c == nil || c.ObservedGeneration != 7 {
					t.Fatalf("%s is %+v", kind, c)
				}
				if c.Status != metav1.ConditionTrue {
					not = append(not, kind+"="+c.Reason)
				}
			}
			sameGist(t, tt.plan, tt.reported, got)
			if s := strings.Join(not, " "); s != tt.want || got.Summary != tt.summary || got.Message != tt.message {
				t.Errorf("got %q, %s, %q; want %q, %s, %q", s, got.Summary, got.Message, tt.want, tt.summary, tt.message)
			}
		})
	}
}

// TestApplicationStatusIsBounded reports more zones and longer texts than a status may hold, and computes it twice: only
// what changed gets a new time.
func TestApplicationStatusIsBounded(t *testing.T) {
	var reported record.Status
	for i := range v1alpha1.MaxStatusZones + 10 {
		reported.Lines = append(reported.Lines, record.Line{Zone: fmt.Sprintf("z%04d", i), Counts: record.Counts{Desired: 1, Ready: 1}})
	}
	reported.Problems = []record.Problem{{Object: "Service shop/web", Message: strings.Repeat("ü", 5000)}}
	got := applicationStatus(v1alpha1.ApplicationStatus{}, plan{}, reported)
	if len(got.Zones) != v1alpha1.MaxStatusZones || int(got.ZoneCount) != len(reported.Lines) || int(got.Ready) != len(reported.Lines) {
		t.Errorf("%d zones of %d, %d ready; want %d of %d", len(got.Zones), got.ZoneCount, got.Ready, v1alpha1.MaxStatusZones, len(reported.Lines))
	}
	for _, text := range []string{got.Message, got.Problems[0].Message} {
		if n := len([]rune(text)); n > v1alpha1.MaxProblemMessage {
			t.Errorf("a text has %d characters, want at most %d", n, v1alpha1.MaxProblemMessage)
		}
	}
	long := metav1.NewTime(time.Unix(1, 0))
	for i := range got.Conditions {
		got.Conditions[i].LastTransitionTime = long
	}
	again := applicationStatus(got, plan{refused: &refusal{"InvalidSpec", "no"}}, reported)
	for _, c := range again.Conditions {
		flipped := c.Type == v1alpha1.ConditionAccepted || c.Type == v1alpha1.ConditionPlaced || c.Type == v1alpha1.ConditionDependenciesResolved
		if c.LastTransitionTime.Equal(&long) == flipped {
			t.Errorf("%s became %s at %v", c.Type, c.Status, c.LastTransitionTime)
		}
	}
}
