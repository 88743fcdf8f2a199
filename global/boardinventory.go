package global

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// snapshot returns the inventory that plans were last made with.
func (b *board) snapshot() *inventory {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inventory
}

// cluster computes the status of a Cluster. What a region has not told since Global started stays as it is.
func (b *board) cluster(t target) (types.UID, any, any) {
	c, ok := b.hub.clusters.get(t.name)
	inv := b.snapshot()
	if !ok || inv == nil {
		return "", nil, nil
	}
	after := c.Status
	after.Conditions = slices.Clone(after.Conditions)
	after.ObservedGeneration = c.Generation
	set(&after.Conditions, c.Generation, acceptance(inv.refusedClusters[t.name]))
	after.Addresses = b.clusterAddresses(c)
	if apart := inv.overlaps.apart[t.name]; apart != "" || len(b.reports.healthOf(t.name).PodRanges) > 0 {
		set(&after.Conditions, c.Generation, disjoint(v1alpha1.ConditionRangesDisjoint, apart))
	}
	if clash, looked := b.serviceClashes().clusters[t.name]; looked {
		set(&after.Conditions, c.Generation, disjoint(v1alpha1.ConditionServiceRangesDisjoint, clash))
	}
	region := inv.clusters[t.name].Region
	b.enrolment(&after.Conditions, c.Generation, question.Path{Region: region, Zone: inv.clusters[t.name].Zone, Cluster: t.name})
	if b.reports.session(region).told {
		h := b.reports.healthOf(t.name)
		after.Nodes, after.KubernetesVersion, after.Applications = h.Nodes, h.KubernetesVersion, h.Applications
		set(&after.Conditions, c.Generation, connection(b.connected(h), "the cluster's agent", h.Problems))
	}
	return c.UID, c.Status, after
}

// connected tells whether a cluster is reached at every hop down to its agent.
func (b *board) connected(h record.Health) bool {
	return h.Connected && b.reports.session(h.Region).connected
}

// zone computes the status of a Zone from its clusters.
func (b *board) zone(t target) (types.UID, any, any) {
	z, ok := b.hub.zones.get(t.name)
	inv := b.snapshot()
	if !ok || inv == nil {
		return "", nil, nil
	}
	after := z.Status
	after.Conditions = slices.Clone(after.Conditions)
	after.ObservedGeneration = z.Generation
	set(&after.Conditions, z.Generation, acceptance(inv.refusedZones[t.name]))
	b.enrolment(&after.Conditions, z.Generation, question.Path{Region: z.Spec.Region, Zone: t.name})
	clusters := inv.zones[t.name].clusters
	after.Clusters = int32(len(clusters))
	if b.reports.session(z.Spec.Region).told {
		after.Connected = 0
		for _, c := range clusters {
			if b.connected(b.reports.healthOf(c.Name)) {
				after.Connected++
			}
		}
		message := fmt.Sprintf("%d of %d clusters are connected", after.Connected, after.Clusters)
		c := condition(v1alpha1.ConditionReady, after.Connected == after.Clusters, v1alpha1.ReasonConnected, message)
		if c.Status != metav1.ConditionTrue {
			c.Reason = v1alpha1.ReasonNotConnected
		}
		set(&after.Conditions, z.Generation, c)
	}
	return z.UID, z.Status, after
}

// region computes the status of a Region from its session and its zones. Until the region has told all since Global
// started, what is written stays.
func (b *board) region(t target) (types.UID, any, any) {
	r, ok := b.hub.regions.get(t.name)
	inv := b.snapshot()
	if !ok || inv == nil {
		return "", nil, nil
	}
	session := b.reports.session(t.name)
	if !session.told && len(r.Status.Conditions) > 0 {
		return "", nil, nil
	}
	after := r.Status
	after.Conditions = slices.Clone(after.Conditions)
	after.ObservedGeneration = r.Generation
	set(&after.Conditions, r.Generation, acceptance(""))
	b.enrolment(&after.Conditions, r.Generation, question.Path{Region: t.name})
	set(&after.Conditions, r.Generation, connection(session.connected, "the region", nil))
	after.Zones, after.Connected = 0, 0
	for _, z := range inv.zones {
		if z.region != t.name {
			continue
		}
		after.Zones++
		if slices.ContainsFunc(z.clusters, func(c record.Cluster) bool { return b.connected(b.reports.healthOf(c.Name)) }) {
			after.Connected++
		}
	}
	return r.UID, r.Status, after
}

// enrolment says whether anybody has enrolled as a place that is accepted. It is looked at when the status is computed
// anyway: who has enrolled connects, or its children do.
func (b *board) enrolment(conditions *[]metav1.Condition, generation int64, path question.Path) {
	if b.grant == nil || path.Region == "" {
		return
	}
	grant, err := b.grant(path)
	if err != nil {
		b.log.Error("stored grant cannot be read", "place", path, "error", err)
		return
	}
	c := condition(v1alpha1.ConditionEnrolled, true, v1alpha1.ReasonEnrolled, fmt.Sprintf("certificates count from generation %d on", grant.Generation))
	if !grant.Enrolled {
		c = condition(v1alpha1.ConditionEnrolled, false, v1alpha1.ReasonNotEnrolled, "nobody has enrolled; `meridian token create` makes a token")
	}
	set(conditions, generation, c)
}

func set(conditions *[]metav1.Condition, generation int64, c metav1.Condition) {
	c.ObservedGeneration = generation
	meta.SetStatusCondition(conditions, c)
}

func acceptance(refused string) metav1.Condition {
	if refused != "" {
		return condition(v1alpha1.ConditionAccepted, false, v1alpha1.ReasonInvalidSpec, refused)
	}
	return condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted, "")
}

// connection is the Ready condition of something that is reached through a session.
func connection(is bool, who string, problems []record.Problem) metav1.Condition {
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Message)
	}
	message := strings.Join(texts, "; ")
	if !is {
		return condition(v1alpha1.ConditionReady, false, v1alpha1.ReasonNotConnected, strings.Trim(who+" has no session; "+message, "; "))
	}
	if message != "" {
		return condition(v1alpha1.ConditionReady, false, cmp.Or(problems[0].Reason, v1alpha1.ReasonRejected), message)
	}
	return condition(v1alpha1.ConditionReady, true, v1alpha1.ReasonConnected, "")
}
