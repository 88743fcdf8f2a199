package global

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/placement"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/shard"
)

// refusal is a condition's reason and message.
type refusal struct{ reason, message string }

// place chooses the zones of an application and the replicas of each: the total for the zone when divided or a
// singleton, the number for each cluster when duplicated. A zone fits if one of its clusters does. The choice depends
// on the inventory and the spec alone but for current, the assignments in force, which a division of replicas disturbs
// as little as it can. When no zone fits, the refusal says why.
func (inv *inventory) place(app, environment string, spec *v1alpha1.ApplicationSpec,
	current map[string]record.Assignment) (map[string]int32, *refusal) {
	f, err := placement.NewFilter(environment, spec.Placement)
	if err != nil {
		return nil, &refusal{v1alpha1.ReasonInvalidSpec, err.Error()}
	}
	weights, why := inv.fitting(f, spec.Placement, current)
	if len(weights) == 0 {
		return nil, why
	}
	names := slices.Sorted(maps.Keys(weights))
	if most := limit(spec.Placement); most > 0 && most < len(names) {
		names = shard.Choose(app, names, most)
	}
	replicas := int32(1)
	if spec.Replicas != nil {
		replicas = *spec.Replicas
	}
	out := make(map[string]int32, len(names))
	if spec.Placement.Mode == v1alpha1.PlacementDuplicated {
		for _, name := range names {
			out[name] = replicas
		}
		return out, nil
	}
	chosen, held := map[string]int64{}, map[string]int32{}
	for _, name := range names {
		chosen[name] = weights[name]
		if a, ok := current[name]; ok && !a.Draining {
			held[name] = a.Replicas
		}
	}
	out = placement.Split(replicas, chosen, held)
	if replicas > 0 {
		maps.DeleteFunc(out, func(_ string, n int32) bool { return n == 0 })
	}
	return out, nil
}

// limit is the most zones that a placement wants; 0 is no limit.
func limit(p v1alpha1.Placement) int {
	if p.Mode == v1alpha1.PlacementSingleton {
		return 1
	}
	if p.Spread != nil {
		return int(p.Spread.MaxZones)
	}
	return 0
}

// fitting returns the zones that an application fits, weighted by the number of their fitting clusters (of those that
// placement.spread lets it use), or why there is none.
func (inv *inventory) fitting(f *placement.Filter, p v1alpha1.Placement,
	current map[string]record.Assignment) (map[string]int64, *refusal) {
	weights := map[string]int64{}
	var regions, zones int
	var example, whyNot string // of the first cluster by name that does not fit
	for name, z := range inv.zones {
		if !f.Region(z.region, inv.regions[z.region]) {
			continue
		}
		regions++
		if !f.Zone(name, z.labels) {
			continue
		}
		zones++
		_, placed := current[name]
		for _, c := range z.clusters {
			if why := f.Cluster(c, placed); why == "" {
				weights[name]++
			} else if example == "" || c.Name < example {
				example, whyNot = c.Name, why
			}
		}
	}
	if p.Spread != nil && p.Spread.MaxClustersPerZone > 0 {
		for name, n := range weights {
			weights[name] = min(n, int64(p.Spread.MaxClustersPerZone))
		}
	}
	switch {
	case len(weights) > 0:
		return weights, nil
	case regions == 0:
		return nil, &refusal{v1alpha1.ReasonNoMatchingZone,
			"spec.placement.regions selects no region that has a zone; see kubectl get regions --show-labels"}
	case zones == 0:
		return nil, &refusal{v1alpha1.ReasonNoMatchingZone,
			"spec.placement.zones selects no zone of the regions selected; see kubectl get zones --show-labels"}
	case example == "":
		return nil, &refusal{v1alpha1.ReasonNoMatchingCluster, "the zones selected have no cluster"}
	default:
		return nil, &refusal{v1alpha1.ReasonNoMatchingCluster,
			fmt.Sprintf("no cluster of the zones selected fits; for instance cluster %s %s", example, whyNot)}
	}
}
