package global

import (
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// outsiders count, for each tenant whose consumers are limited, the applications of other tenants that its AccessPolicies
// let in. A policy that would let in more than there is room for is refused: of its callers those stay that the tenant's
// policies let in before. What comes under a policy that is accepted, since others do something, is counted and let in.
type outsiders struct {
	lets   map[string]map[string]bool // by AccessPolicy, the applications of others that it lets in
	owners map[string]string          // by AccessPolicy, the tenant that it is counted for
	counts map[string]map[string]int  // by tenant and application of another, the policies that let it in
	// held are, until a term's first plans are made, by tenant those whom the records in force let in.
	held map[string]map[string]bool
	// refused are AccessPolicies that wait for room.
	refused map[string]*refusal
}

func newOutsiders() *outsiders {
	return &outsiders{lets: map[string]map[string]bool{}, owners: map[string]string{}, counts: map[string]map[string]int{},
		held: map[string]map[string]bool{}, refused: map[string]*refusal{}}
}

// known tells whether a tenant's policies let an application in already.
func (x *outsiders) known(tenant, app string) bool {
	return x.counts[tenant][app] > 0 || x.held[tenant][app]
}

// used is how many applications of others a tenant's policies let in.
func (x *outsiders) used(tenant string) int64 {
	n := len(x.counts[tenant])
	for app := range x.held[tenant] {
		if x.counts[tenant][app] == 0 {
			n++
		}
	}
	return int64(n)
}

// set notes whom a policy of a tenant lets in; a policy that is not counted has no tenant. It returns the tenants for whom
// that makes a difference.
func (x *outsiders) set(policy, tenant string, apps map[string]bool) map[string]bool {
	changed := map[string]bool{}
	owner := x.owners[policy]
	for app := range x.lets[policy] {
		if owner != tenant || !apps[app] {
			x.count(owner, app, -1)
			changed[owner] = true
		}
	}
	for app := range apps {
		if owner != tenant || !x.lets[policy][app] {
			x.count(tenant, app, 1)
			changed[tenant] = true
		}
	}
	x.owners[policy], x.lets[policy] = tenant, apps
	if tenant == "" || len(apps) == 0 {
		delete(x.lets, policy)
	}
	if tenant == "" {
		delete(x.owners, policy)
	}
	return changed
}

func (x *outsiders) count(tenant, app string, n int) {
	if x.counts[tenant] == nil {
		x.counts[tenant] = map[string]int{}
	}
	if x.counts[tenant][app] += n; x.counts[tenant][app] == 0 {
		delete(x.counts[tenant], app)
	}
	if len(x.counts[tenant]) == 0 {
		delete(x.counts, tenant)
	}
}

// growth is how many applications of others a tenant's policies would let in more, if one of them let in these.
func (x *outsiders) growth(policy, tenant string, apps map[string]bool) int64 {
	var n int64
	for app := range apps {
		if !x.known(tenant, app) {
			n++
		}
	}
	if x.owners[policy] != tenant {
		return n
	}
	for app := range x.lets[policy] {
		if !apps[app] && x.counts[tenant][app] == 1 && !x.held[tenant][app] {
			n--
		}
	}
	return n
}

// narrowed leaves of a policy's callers only those that keep says.
func narrowed(policy *v1alpha1.AccessPolicy, keep func(v1alpha1.CallerSelector) bool) *v1alpha1.AccessPolicy {
	out := *policy
	out.Spec.Rules = slices.Clone(policy.Spec.Rules)
	for i, r := range out.Spec.Rules {
		out.Spec.Rules[i].From = slices.DeleteFunc(slices.Clone(r.From), func(c v1alpha1.CallerSelector) bool { return !keep(c) })
	}
	return &out
}

// outside lists the applications of other tenants that a caller selector of a policy in a namespace stands for.
func (p *planner) outside(namespace string, c v1alpha1.CallerSelector, add func(app string)) {
	home := p.callers.tenancy.homes[namespace]
	from := func(ns string) {
		if h := p.callers.tenancy.homes[ns]; h.environment != home.environment || h.tenant == home.tenant {
			return
		}
		if c.Application == "" {
			for app := range p.present[ns] {
				add(app)
			}
		} else if app := record.ServiceName(ns, c.Application); p.present[ns][app] {
			add(app)
		}
	}
	if c.Tenant == "" {
		from(c.Namespace)
		return
	}
	for _, ns := range p.callers.tenancy.ofTenant(home.environment, c.Tenant) {
		from(ns)
	}
}

// letIn are the applications of other tenants that a policy lets in.
func (p *planner) letIn(policy *v1alpha1.AccessPolicy) map[string]bool {
	out := map[string]bool{}
	eachCaller(policy, func(c v1alpha1.CallerSelector) {
		p.outside(policy.Namespace, c, func(app string) { out[app] = true })
	})
	return out
}
