package global

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// TestPace shows that progress of a few is due together, and that of many one after another.
func TestPace(t *testing.T) {
	p, now := newPace(), time.Now()
	for i := range 3 * progressBursts {
		app := target{"applications", "n", fmt.Sprint(i)}
		want := progressAfter
		if i >= progressBursts {
			want += time.Duration(i-progressBursts+1) * time.Second / progressRate
		}
		if got := p.wait(app, now); got.Round(time.Millisecond) != want {
			t.Errorf("application %d is due in %v, want %v", i, got, want)
		}
		if got := p.wait(app, now.Add(want)); got.Round(time.Millisecond) != 0 {
			t.Errorf("application %d is due in %v when its time has come", i, got)
		}
		p.done(app)
	}
	if len(p.due) != 0 {
		t.Errorf("%d applications still wait", len(p.due))
	}
}

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
