package global

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/rollup"
)

// gist is the part of an Application's status by which it is an outcome, or only tells of progress.
type gist struct {
	revision, message, address         string
	accepted, placed, converged, ready bool
}

func gistOf(s v1alpha1.ApplicationStatus) gist {
	is := func(kind string) bool {
		return meta.IsStatusConditionPresentAndEqual(s.Conditions, kind, metav1.ConditionTrue)
	}
	return gist{revision: s.Revision, message: s.Message, address: s.Address, accepted: is(v1alpha1.ConditionAccepted),
		placed: is(v1alpha1.ConditionPlaced), converged: is(v1alpha1.ConditionConverged), ready: is(v1alpha1.ConditionReady)}
}

// underWay tells whether a status only tells of progress: nothing has come to its end, nothing that had is undone, and
// nothing is wrong that was not said before.
func (g gist) underWay(before gist) bool {
	if before.revision != g.revision {
		before.converged, before.ready = false, false
	}
	return g.accepted && g.placed && g.converged == before.converged && g.ready == before.ready && g.message == before.message &&
		g.address == before.address
}

// underWay tells it of whole statuses; those of other resources are outcomes.
func underWay(before, after any) bool {
	b, ok := before.(v1alpha1.ApplicationStatus)
	return ok && gistOf(after.(v1alpha1.ApplicationStatus)).underWay(gistOf(b))
}

// gist is that of the status which a plan and what regions say make, without summing it up. It is not clear when it
// would take more than one look at each zone's line.
func (r *reports) gist(app string, p plan) (g gist, clear bool) {
	if p.refused != nil || p.unplaced != nil || len(p.desired) == 0 {
		return gist{}, false
	}
	g = gist{revision: shortRevision(p.hash), accepted: true, placed: true, ready: true}
	if p.address != nil {
		g.address = p.address.text
		if p.address.text == "" {
			g.message = clip("spec.address: " + p.address.said.Message)
		}
	}
	if p.unresolved != nil {
		g.message = clip(p.unresolved.message)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	there := 0
	for region, s := range r.statuses[app] {
		if len(s.Problems) > 0 {
			return gist{}, false
		}
		for _, l := range s.Lines {
			if a, wanted := p.desired[l.Zone]; wanted && a.Region == region && lineConverged(l, a) {
				there++
				g.ready = g.ready && rollup.Ready(l.Counts)
			}
		}
	}
	g.converged = there == len(p.desired)
	g.ready = g.ready && g.converged
	return g, true
}
