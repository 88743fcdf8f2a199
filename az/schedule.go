package az

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/placement"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/shard"
)

// reasonNoEligibleCluster says that an application was assigned to the zone and fits none of its clusters.
const reasonNoEligibleCluster = "NoEligibleCluster"

// terms is what a revision says about where in a zone it may run.
type terms struct {
	filter *placement.Filter
	mode   v1alpha1.PlacementMode
	// most is the most clusters to use; 0 is no limit.
	most int
}

// readTerms reads a revision's placement.
func readTerms(r record.Record) (*terms, error) {
	rev, err := record.DecodeRevision(r)
	if err != nil {
		return nil, err
	}
	var spec struct {
		Placement v1alpha1.Placement `json:"placement"`
	}
	if err := json.Unmarshal(rev.Spec, &spec); err != nil {
		return nil, fmt.Errorf("reading the placement of %s/%s: %w", rev.Namespace, rev.Application, err)
	}
	filter, err := placement.NewFilter(rev.Environment, spec.Placement)
	if err != nil {
		return nil, err
	}
	t := &terms{filter: filter, mode: spec.Placement.Mode}
	if spec.Placement.Spread != nil {
		t.most = int(spec.Placement.Spread.MaxClustersPerZone)
	}
	return t, nil
}

// task is all that the placement of one application in the zone depends on.
type task struct {
	assignment record.Assignment
	terms      *terms
	// clusters are the zone's, sorted by name.
	clusters []record.Cluster
	weight   func(cluster string) int64
	// current are the bindings in force, by cluster.
	current map[string]record.Binding
	// settled tells whether a cluster runs a binding: all applied, and ready.
	settled func(record.Binding) bool
}

// decide returns the bindings that should exist, by cluster, and what a person should know. It is deterministic. A
// cluster that is left keeps its binding, draining, until all others are settled; one that is gone from the inventory
// is let go at once.
func (t task) decide() (map[string]record.Binding, *record.Problem) {
	if t.assignment.Draining {
		return t.drained(), nil
	}
	eligible, why := t.eligible()
	if len(eligible) == 0 {
		return t.kept(), why
	}
	out := map[string]record.Binding{}
	settled := true
	for cluster, replicas := range t.replicas(t.choose(eligible)) {
		b := t.bind(cluster, replicas)
		out[cluster] = b
		settled = settled && t.settled(b)
	}
	if settled {
		return out, nil
	}
	for cluster, b := range t.kept() {
		if _, stays := out[cluster]; !stays {
			b.Draining = true
			out[cluster] = b
		}
	}
	return out, nil
}

// kept are the bindings in force in clusters that exist.
func (t task) kept() map[string]record.Binding {
	out := map[string]record.Binding{}
	for _, c := range t.clusters {
		if b, ok := t.current[c.Name]; ok {
			out[c.Name] = b
		}
	}
	return out
}

// drained are the bindings of a zone that is being left: what runs stays.
func (t task) drained() map[string]record.Binding {
	out := t.kept()
	for cluster, b := range out {
		b.Draining = true
		out[cluster] = b
	}
	return out
}

func (t task) eligible() ([]string, *record.Problem) {
	var names, reasons []string
	for _, c := range t.clusters {
		_, placed := t.current[c.Name]
		if why := t.terms.filter.Cluster(c, placed); why != "" {
			reasons = append(reasons, fmt.Sprintf("cluster %s %s", c.Name, why))
			continue
		}
		names = append(names, c.Name)
	}
	if len(names) > 0 {
		return names, nil
	}
	message := "the zone has no cluster"
	if len(reasons) > 0 {
		const most = 3
		message = "no cluster of the zone fits: " + strings.Join(reasons[:min(most, len(reasons))], "; ")
		if len(reasons) > most {
			message += fmt.Sprintf("; and %d more", len(reasons)-most)
		}
	}
	return nil, &record.Problem{Zone: t.assignment.Zone, Reason: reasonNoEligibleCluster, Message: message +
		". Change spec.placement, or the environments, labels or taints of a Cluster; what runs here stays meanwhile"}
}

// choose picks the clusters to use. A singleton stays where it is for as long as it may.
func (t task) choose(eligible []string) []string {
	key := record.ServiceName(t.assignment.Namespace, t.assignment.Application)
	if t.terms.mode == v1alpha1.PlacementSingleton {
		here := slices.DeleteFunc(slices.Clone(eligible), func(cluster string) bool {
			b, ok := t.current[cluster]
			return !ok || b.Draining
		})
		if len(here) > 0 {
			eligible = here
		}
		return shard.Choose(key, eligible, 1)
	}
	if t.terms.most > 0 && t.terms.most < len(eligible) {
		return shard.Choose(key, eligible, t.terms.most)
	}
	return eligible
}

// replicas divides the assignment's replicas over the chosen clusters. A cluster with no share is not used, unless there
// is nothing to share: an application scaled to nothing keeps all but its pods.
func (t task) replicas(chosen []string) map[string]int32 {
	total := t.assignment.Replicas
	if t.terms.mode == v1alpha1.PlacementDuplicated {
		out := make(map[string]int32, len(chosen))
		for _, cluster := range chosen {
			out[cluster] = total
		}
		return out
	}
	weights, held := make(map[string]int64, len(chosen)), make(map[string]int32, len(chosen))
	for _, cluster := range chosen {
		weights[cluster] = t.weight(cluster)
		if b, ok := t.current[cluster]; ok && !b.Draining {
			held[cluster] = b.Replicas
		}
	}
	out := placement.Split(total, weights, held)
	for cluster, n := range out {
		if n == 0 && total > 0 {
			delete(out, cluster)
		}
	}
	return out
}

func (t task) bind(cluster string, replicas int32) record.Binding {
	a := t.assignment
	return record.Binding{Namespace: a.Namespace, Application: a.Application, Cluster: cluster, Revision: a.Revision,
		Replicas: replicas, Generation: a.Generation, Dependencies: a.Dependencies}
}
