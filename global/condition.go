package global

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// shortRevision is how people see a revision: the first ten digits of its hash.
func shortRevision(hash string) string { return hash[:min(10, len(hash))] }

// lineConverged tells whether a zone has brought an assignment to all of its clusters.
func lineConverged(l record.Line, a record.Assignment) bool {
	return l.Revision == a.Revision && l.Converged == l.Clusters && l.Clusters > 0
}

// applicationStatus turns a plan and the regions' reports into the status of the resource. before is the status that
// the resource has: the times of conditions that do not change are taken from it. The lines are sorted by zone.
func applicationStatus(before v1alpha1.ApplicationStatus, p plan, reported record.Status) v1alpha1.ApplicationStatus {
	out := v1alpha1.ApplicationStatus{ObservedGeneration: p.generation, Revision: shortRevision(p.hash),
		Conditions: slices.Clone(before.Conditions)}
	count(&out, p, reported)
	there := converged(p, reported)
	for _, c := range []metav1.Condition{accepted(p), placed(p), resolved(p), there, ready(p, out, reported, there)} {
		c.ObservedGeneration = p.generation
		meta.SetStatusCondition(&out.Conditions, c)
	}
	p.address.write(&out, p.generation)
	for _, problem := range reported.Problems {
		out.Problems = append(out.Problems, v1alpha1.Problem{Zone: problem.Zone, Cluster: problem.Cluster,
			Object: problem.Object, Reason: problem.Reason, Message: clip(problem.Message)})
	}
	out.Message = headline(out)
	return out
}

// count fills in the numbers: one line for each zone that should run the application or still reports it.
func count(out *v1alpha1.ApplicationStatus, p plan, reported record.Status) {
	lines := make([]v1alpha1.ZoneCounts, 0, max(len(reported.Lines), len(p.desired)))
	for _, l := range reported.Lines {
		lines = append(lines, v1alpha1.ZoneCounts{Name: l.Zone, Region: l.Region, Revision: shortRevision(l.Revision),
			Desired: l.Desired, Updated: l.Updated, Ready: l.Ready, Clusters: l.Clusters, ConvergedClusters: l.Converged})
	}
	for zone, a := range p.desired {
		if _, said := lineOf(reported, zone); !said {
			lines = append(lines, v1alpha1.ZoneCounts{Name: zone, Region: a.Region})
		}
	}
	if len(lines) > len(reported.Lines) {
		slices.SortFunc(lines, func(a, b v1alpha1.ZoneCounts) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, l := range lines {
		if len(out.Zones) < v1alpha1.MaxStatusZones {
			out.Zones = append(out.Zones, l)
		}
		out.Desired += l.Desired
		out.Updated += l.Updated
		out.Ready += l.Ready
		out.Clusters += l.Clusters
	}
	out.ZoneCount = int32(len(lines))
	out.Summary = fmt.Sprintf("%d/%d", out.Ready, out.Desired)
}

func condition(kind string, ok bool, reason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: clip(message)}
}

func accepted(p plan) metav1.Condition {
	if p.refused != nil {
		return condition(v1alpha1.ConditionAccepted, false, p.refused.reason, p.refused.message)
	}
	return condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted, "")
}

func placed(p plan) metav1.Condition {
	switch {
	case p.refused != nil && len(p.desired) == 0:
		return condition(v1alpha1.ConditionPlaced, false, v1alpha1.ReasonNotAccepted, "the spec is not accepted")
	case p.unplaced != nil:
		return condition(v1alpha1.ConditionPlaced, false, p.unplaced.reason, p.unplaced.message)
	default:
		return condition(v1alpha1.ConditionPlaced, true, v1alpha1.ReasonPlaced, "")
	}
}

func resolved(p plan) metav1.Condition {
	switch {
	case p.refused != nil:
		return condition(v1alpha1.ConditionDependenciesResolved, false, v1alpha1.ReasonNotAccepted, "the spec is not accepted")
	case p.unresolved != nil:
		return condition(v1alpha1.ConditionDependenciesResolved, false, p.unresolved.reason, p.unresolved.message)
	default:
		return condition(v1alpha1.ConditionDependenciesResolved, true, v1alpha1.ReasonResolved, "")
	}
}

func converged(p plan, reported record.Status) metav1.Condition {
	const kind = v1alpha1.ConditionConverged
	if p.refused != nil {
		return condition(kind, false, v1alpha1.ReasonNotAccepted, "the spec is not accepted; what ran before goes on")
	}
	if len(p.desired) == 0 {
		return condition(kind, false, v1alpha1.ReasonNothingPlaced, "no zone runs the application")
	}
	if p.unplaced != nil {
		return condition(kind, false, p.unplaced.reason, "the spec is not placed; what ran before goes on")
	}
	var waiting []string
	for zone, a := range p.desired {
		if l, ok := lineOf(reported, zone); !ok || !lineConverged(l, a) {
			waiting = append(waiting, zone)
		}
	}
	if len(waiting) > 0 {
		slices.Sort(waiting)
		return condition(kind, false, v1alpha1.ReasonProgressing, "waiting for "+listed(waiting))
	}
	return condition(kind, true, v1alpha1.ReasonConverged, "")
}

func ready(p plan, out v1alpha1.ApplicationStatus, reported record.Status, converged metav1.Condition) metav1.Condition {
	const kind = v1alpha1.ConditionReady
	if converged.Status != metav1.ConditionTrue {
		return condition(kind, false, converged.Reason, converged.Message)
	}
	for _, l := range reported.Lines {
		if _, wanted := p.desired[l.Zone]; wanted && (l.Ready < l.Desired || l.Updated < l.Desired) {
			return condition(kind, false, v1alpha1.ReasonReplicasNotReady, fmt.Sprintf("%d of %d replicas are ready", out.Ready, out.Desired))
		}
	}
	return condition(kind, true, v1alpha1.ReasonReady, "")
}

// headline is what a person should look at first: what was refused, else the first problem in a cluster, else what could
// not be resolved, else why it has no address.
func headline(s v1alpha1.ApplicationStatus) string {
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionPlaced} {
		if c := meta.FindStatusCondition(s.Conditions, kind); c.Status != metav1.ConditionTrue {
			return clip(c.Message)
		}
	}
	if len(s.Problems) > 0 {
		p := s.Problems[0]
		where := strings.TrimSpace(cmp.Or(p.Cluster, p.Zone))
		return clip(fmt.Sprintf("%s: %s: %s", where, p.Object, p.Message))
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionDependenciesResolved); c.Status != metav1.ConditionTrue {
		return clip(c.Message)
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionAllocated); c != nil && c.Status != metav1.ConditionTrue {
		return clip("spec.address: " + c.Message)
	}
	return ""
}

// clip keeps a text within what the schema allows.
func clip(s string) string {
	if len(s) <= v1alpha1.MaxProblemMessage {
		return s
	}
	if r := []rune(s); len(r) > v1alpha1.MaxProblemMessage {
		return string(r[:v1alpha1.MaxProblemMessage-1]) + "…"
	}
	return s
}
