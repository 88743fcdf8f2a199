package global

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestUnderWay(t *testing.T) {
	status := func(revision, message string, true_ ...string) v1alpha1.ApplicationStatus {
		s := v1alpha1.ApplicationStatus{Revision: revision, Message: message}
		for _, kind := range true_ {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue})
		}
		return s
	}
	const accepted, placed, converged, ready = v1alpha1.ConditionAccepted, v1alpha1.ConditionPlaced, v1alpha1.ConditionConverged, v1alpha1.ConditionReady
	var none v1alpha1.ApplicationStatus
	tests := map[string]struct {
		before, after any
		want          bool
	}{
		"new and on its way":           {none, status("1", "", accepted, placed), true},
		"refused":                      {none, status("", "no environment"), false},
		"not placed":                   {none, status("1", "no zone", accepted), false},
		"converged":                    {status("1", "", accepted, placed), status("1", "", accepted, placed, converged), false},
		"more replicas ready":          {status("1", "", accepted, placed, converged), status("1", "", accepted, placed, converged), true},
		"ready":                        {status("1", "", accepted, placed, converged), status("1", "", accepted, placed, converged, ready), false},
		"a new revision on its way":    {status("1", "", accepted, placed, converged), status("2", "", accepted, placed), true},
		"a new revision has converged": {status("1", "", accepted, placed, converged), status("2", "", accepted, placed, converged), false},
		"no longer ready":              {status("1", "", accepted, placed, converged, ready), status("1", "", accepted, placed, converged), false},
		"no longer converged":          {status("1", "", accepted, placed, converged), status("1", "", accepted, placed), false},
		"ready before, now another":    {status("1", "", accepted, placed, converged, ready), status("2", "", accepted, placed), true},
		"something went wrong":         {status("1", "", accepted, placed), status("1", "rejected", accepted, placed), false},
		"not an application":           {v1alpha1.ZoneStatus{}, v1alpha1.ZoneStatus{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := underWay(tt.before, tt.after); got != tt.want {
				t.Errorf("underWay = %v, want %v", got, tt.want)
			}
		})
	}
}

// sameGist holds the gist that is found without summing up against the status: where it is clear, it is the same.
func sameGist(t *testing.T, p plan, reported record.Status, status v1alpha1.ApplicationStatus) {
	t.Helper()
	r := newReports()
	r.statuses["shop/web"] = map[string]record.Status{"w": reported}
	got, clear := r.gist("shop/web", p)
	want := gistOf(status)
	if trouble := len(reported.Problems) > 0 || !want.accepted || !want.placed; clear == trouble {
		t.Errorf("the gist is clear: %v, want %v", clear, !trouble)
	}
	if clear && got != want {
		t.Errorf("the gist is %+v, want that of the status, %+v", got, want)
	}
}
