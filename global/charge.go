package global

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/placement"
	"github.com/meridian-federation/meridian/internal/record"
)

// brought is what is read of an object in spec.resources to count it.
type brought struct {
	Kind string `json:"kind"`
	Spec struct {
		MaxReplicas int64 `json:"maxReplicas"`
	} `json:"spec"`
}

// broughtBy reads them; what cannot be read has no kind.
func broughtBy(spec *v1alpha1.ApplicationSpec) []brought {
	out := make([]brought, len(spec.Resources))
	for i, r := range spec.Resources {
		_ = json.Unmarshal(r.Raw, &out[i])
	}
	return out
}

// kindsOf lists the kinds in spec.resources, each once.
func kindsOf(spec *v1alpha1.ApplicationSpec) []string {
	var out []string
	for _, b := range broughtBy(spec) {
		if !slices.Contains(out, b.Kind) {
			out = append(out, b.Kind)
		}
	}
	return out
}

// replicasOf is how many replicas an application with these zones can come to, over all clusters. A zone's number is of
// all its clusters together, but of each cluster for one that is duplicated; and in each cluster that fits an autoscaler
// can make as many as it may.
func (inv *inventory) replicasOf(environment string, spec *v1alpha1.ApplicationSpec, zones map[string]int32) int64 {
	var most, sum int64
	for _, b := range broughtBy(spec) {
		if b.Kind == "HorizontalPodAutoscaler" {
			most = max(most, b.Spec.MaxReplicas)
		}
	}
	var clusters map[string]int64
	if most > 0 || spec.Placement.Mode == v1alpha1.PlacementDuplicated {
		clusters = inv.clustersOf(environment, spec.Placement, zones)
	}
	for zone, n := range zones {
		switch {
		case most > 0:
			sum += most * max(clusters[zone], 1)
		case clusters != nil:
			sum += int64(n) * max(clusters[zone], 1)
		default:
			sum += int64(n)
		}
	}
	return sum
}

// clustersOf counts, in the zones of an application, the clusters that it fits.
func (inv *inventory) clustersOf(environment string, p v1alpha1.Placement, zones map[string]int32) map[string]int64 {
	if p.Mode == v1alpha1.PlacementSingleton {
		return map[string]int64{}
	}
	f, err := placement.NewFilter(environment, p)
	if err != nil {
		return map[string]int64{}
	}
	placed := make(map[string]record.Assignment, len(zones))
	for zone := range zones {
		placed[zone] = record.Assignment{}
	}
	weights, _ := inv.fitting(f, p, placed)
	return weights
}

// zonesOf are the zones that assignments in force say, as place returns them.
func zonesOf(assignments map[string]record.Assignment) map[string]int32 {
	out := map[string]int32{}
	for zone, a := range assignments {
		if !a.Draining {
			out[zone] = a.Replicas
		}
	}
	return out
}

// afford refuses an application that its tenant has no room for.
func (p *planner) afford(name string, app *v1alpha1.Application, environment string, zones map[string]int32) *refusal {
	tenant := p.tenantOf(name)
	if a := p.quotas.accounts[tenant]; a == nil || len(a.quotas) == 0 {
		return nil
	}
	replicas := p.inventory.replicasOf(environment, &app.Spec, zones)
	return p.quotas.afford(name, tenant, p.quotas.bid(name, app, replicas))
}

// charge notes what an application that is accepted has.
func (p *planner) charge(name, environment string, spec *v1alpha1.ApplicationSpec, zones map[string]int32) {
	now := charge{tenant: p.tenantOf(name), environment: environment, spec: spec, zones: zones,
		replicas: p.inventory.replicasOf(environment, spec, zones), addresses: addressesAsked(spec)}
	held, has := p.quotas.charges[name]
	if has && held.tenant == now.tenant && held.replicas == now.replicas && held.addresses == now.addresses {
		p.quotas.charges[name] = now
		return
	}
	p.quotas.charge(name, now)
}

// recharge counts anew what the applications have: clusters have come or gone.
func (p *planner) recharge() {
	for name, held := range p.quotas.charges {
		if held.claim {
			continue
		}
		if n := p.inventory.replicasOf(held.environment, held.spec, held.zones); n != held.replicas {
			held.replicas = n
			p.quotas.charge(name, held)
		}
	}
}

// reckon notes what an application of a revision in force has. Its replicas are counted when the inventory is known.
func (p *planner) reckon(revision record.Revision) error {
	var spec v1alpha1.ApplicationSpec
	if err := kjson.Unmarshal(revision.Spec, &spec); err != nil {
		return fmt.Errorf("reading what the application has: %w", err)
	}
	name := record.ServiceName(revision.Namespace, revision.Application)
	zones := zonesOf(inForce(p.mirror.Snapshot(), revision.Namespace, revision.Application).assignments)
	now := charge{tenant: p.tenantOf(name), environment: revision.Environment, spec: &spec, zones: zones}
	if _, has := p.asks.claims[ownerApplication+name]; has {
		now.addresses = 1
	}
	p.quotas.charge(name, now)
	return nil
}

// addressesAsked is how many addresses an application asks for.
func addressesAsked(spec *v1alpha1.ApplicationSpec) int64 {
	if spec.Address == nil {
		return 0
	}
	return 1
}

// created is when the spec of what is planned under a name was created, in nanoseconds; 0 for one that is gone.
func (p *planner) created(name string) int64 {
	if key, ok := strings.CutPrefix(name, claimPrefix); ok {
		if claim, ok := p.hub.ipclaims.get(key); ok {
			return claim.CreationTimestamp.UnixNano()
		}
		return 0
	}
	if isExternal(name) {
		if external, ok := p.hub.externals.get(externalKey(name)); ok {
			return external.CreationTimestamp.UnixNano()
		}
		return 0
	}
	if app, ok := p.hub.applications.get(name); ok {
		return app.CreationTimestamp.UnixNano()
	}
	return 0
}

// tenantOf is the tenant of an application's namespace, or "".
func (p *planner) tenantOf(name string) string {
	namespace, _, _ := strings.Cut(name, "/")
	return p.callers.tenancy.homes[namespace].tenant
}

// retry has what was refused looked at again for which there may be room now; false if there is none.
func (p *planner) retry(dirty *todo) bool {
	freed := p.quotas.freed
	p.quotas.freed = map[string]bool{}
	for _, key := range p.waitingPolicies(freed) {
		p.permit(key, dirty)
	}
	for _, name := range p.quotas.ready(freed) {
		dirty.add(name)
	}
	return len(dirty.names) > 0
}

// oldest sorts applications, or AccessPolicies, by when they were created.
func oldest(names map[string]bool, created func(name string) int64) []string {
	at := make(map[string]int64, len(names))
	for name := range names {
		at[name] = created(name)
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		switch {
		case at[a] < at[b]:
			return -1
		case at[a] > at[b]:
			return 1
		}
		return strings.Compare(a, b)
	})
}
