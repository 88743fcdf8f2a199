package global

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// permit decides how much of an AccessPolicy is in force by its tenant's quotas, and has planned again what it concerns if
// that has changed.
func (p *planner) permit(key string, dirty *todo) {
	x, policies := p.outsiders, p.callers.policies
	policy, ok := policies.specs[key]
	if !ok {
		delete(x.refused, key)
		delete(policies.limited, key)
		p.count(key, "", nil)
		return
	}
	tenant := p.tenantOf(key)
	most := p.quotas.limitsOf(tenant).consumers
	if most.by == "" {
		p.limit(key, nil, nil, dirty)
		p.count(key, "", nil)
		return
	}
	apps := p.letIn(policy)
	used, growth := x.used(tenant), x.growth(key, tenant, apps)
	if !most.refuses(used, growth) {
		p.limit(key, nil, nil, dirty)
		p.count(key, tenant, apps)
		return
	}
	part := narrowed(policy, func(c v1alpha1.CallerSelector) bool {
		keep := true
		p.outside(policy.Namespace, c, func(app string) { keep = keep && x.known(tenant, app) })
		return keep
	})
	p.limit(key, part, &refusal{v1alpha1.ReasonQuotaExceeded,
		exceeded(tenant, "consumers", most, used, growth) + "; its callers that none of the tenant's policies let in before stay out"}, dirty)
	p.count(key, tenant, p.letIn(part))
}

// limit has only a part of a policy be in force, for a reason; all of it without.
func (p *planner) limit(key string, part *v1alpha1.AccessPolicy, why *refusal, dirty *todo) {
	policies := p.callers.policies
	before, limited := policies.limited[key]
	if part == nil && !limited {
		return
	}
	p.callers.touched[key] = true
	p.quotas.touched[p.tenantOf(key)] = true
	if part == nil {
		delete(policies.limited, key)
		delete(p.outsiders.refused, key)
	} else {
		policies.limited[key], p.outsiders.refused[key] = part, why
	}
	if !limited || part == nil || !equality.Semantic.DeepEqual(before.Spec, part.Spec) {
		p.concerned(policies.specs[key], dirty.add)
	}
}

// count notes whom a policy lets in, for a tenant whose consumers are limited.
func (p *planner) count(key, tenant string, apps map[string]bool) {
	for changed := range p.outsiders.set(key, tenant, apps) {
		p.quotas.touched[changed] = true
		p.quotas.freed[changed] = true // a policy that waits asks for less where another lets the same in
	}
}

// recount counts anew whom a policy lets in, since somebody else than its author did something: that is never refused. If
// the policy waits for room, it is looked at again.
func (p *planner) recount(key string) {
	policy := p.callers.policies.inForce(key)
	if policy == nil {
		return
	}
	tenant := p.tenantOf(key)
	if p.outsiders.refused[key] != nil {
		p.quotas.freed[tenant] = true
	}
	if p.quotas.limitsOf(tenant).consumers.by == "" {
		p.count(key, "", nil)
		return
	}
	p.count(key, tenant, p.letIn(policy))
}

// comes notes that there is an application that others' policies may let in, goes that there is none.
func (p *planner) comes(name string) {
	namespace, _, _ := strings.Cut(name, "/")
	if p.present[namespace][name] {
		return
	}
	p.present.add(namespace, name)
	p.recountNaming(namespace)
}

func (p *planner) goes(name string) {
	namespace, _, _ := strings.Cut(name, "/")
	p.present.remove(namespace, name)
	p.recountNaming(namespace)
}

// recountNaming counts anew the policies that name a namespace, or its tenant, as callers.
func (p *planner) recountNaming(namespace string) {
	for key := range p.callers.policies.callers[namespace] {
		p.recountCounted(key)
	}
	for key := range p.callers.policies.tenants[p.callers.tenancy.homes[namespace].tenant] {
		p.recountCounted(key)
	}
}

// recountCounted leaves alone what no quota counts.
func (p *planner) recountCounted(key string) {
	if p.quotas.limitsOf(p.tenantOf(key)).consumers.by != "" {
		p.recount(key)
	}
}

// waitingPolicies are those of some tenants that wait for room, the oldest first.
func (p *planner) waitingPolicies(tenants map[string]bool) []string {
	waiting := map[string]bool{}
	for key := range p.outsiders.refused {
		if tenants[p.tenantOf(key)] {
			waiting[key] = true
		}
	}
	return oldest(waiting, p.policyCreated)
}

func (p *planner) policyCreated(key string) int64 {
	return p.callers.policies.specs[key].CreationTimestamp.UnixNano()
}

// requota notes what a TenantQuota says. What its tenants have stays as it is, and what waits is told the new limits.
func (p *planner) requota(name string, dirty *todo) {
	now, ok := p.hub.quotas.get(name)
	if !ok {
		now = nil
	}
	for _, tenant := range p.quotas.set(name, now) {
		if a := p.quotas.accounts[tenant]; a != nil {
			for app := range a.waiting {
				dirty.add(app)
			}
		}
		for _, namespace := range p.callers.tenancy.namespacesOf(tenant) {
			for _, policy := range p.callers.policies.names[namespace] {
				p.recount(record.ServiceName(namespace, policy))
			}
		}
	}
}

// recall learns, at the start of a term, what tenants may have and whom their policies let in: whoever the records in force
// let in was accepted before, and so stays ahead of what waits. A policy that concerns no application yet is in no record;
// its status says that it was accepted.
func (p *planner) recall(snapshot *store.Snapshot) {
	for _, quota := range p.hub.quotas.all() {
		p.quotas.set(quota.Name, quota)
	}
	for _, app := range p.hub.applications.all() {
		p.present.add(app.Namespace, record.ServiceName(app.Namespace, app.Name))
	}
	for e := range snapshot.All(record.KindPolicy) {
		if policy, err := record.DecodePolicy(e.Record); err == nil && !isExternal(e.Key.Name) {
			p.hold(policy.Namespace, func(let func(v1alpha1.CallerSelector)) {
				for _, r := range policy.Rules {
					for _, c := range r.Callers {
						let(v1alpha1.CallerSelector{Namespace: c.Namespace, Application: c.Application})
					}
				}
			})
		}
	}
	keys := map[string]bool{}
	for key := range p.callers.policies.specs {
		keys[key] = true
	}
	for key := range keys {
		if policy := p.callers.policies.specs[key]; acceptedBefore(policy) {
			p.hold(policy.Namespace, func(let func(v1alpha1.CallerSelector)) { eachCaller(policy, let) })
		}
	}
	unplanned := newTodo() // all are planned in the term's first helping
	for _, key := range oldest(keys, p.policyCreated) {
		p.permit(key, unplanned)
	}
	clear(p.outsiders.held)
	for key := range p.outsiders.refused {
		p.quotas.freed[p.tenantOf(key)] = true
	}
}

// acceptedBefore tells whether Global has said of a policy, as it is, that it is in force.
func acceptedBefore(policy *v1alpha1.AccessPolicy) bool {
	c := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionAccepted)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == policy.Generation
}

// hold reserves room for those of other tenants whom some policy of a namespace lets in.
func (p *planner) hold(namespace string, each func(let func(v1alpha1.CallerSelector))) {
	tenant := p.callers.tenancy.homes[namespace].tenant
	if p.quotas.limitsOf(tenant).consumers.by == "" {
		return
	}
	held := p.outsiders.held[tenant]
	if held == nil {
		held = map[string]bool{}
		p.outsiders.held[tenant] = held
	}
	each(func(c v1alpha1.CallerSelector) { p.outside(namespace, c, func(app string) { held[app] = true }) })
}

// publishQuotas has the statuses of the quotas computed anew whose tenants were touched.
func (p *planner) publishQuotas() {
	waiting := map[string]int32{}
	for key := range p.outsiders.refused {
		waiting[p.tenantOf(key)]++
	}
	standings := map[string]*quotaStanding{}
	for tenant := range p.quotas.touched {
		a := p.quotas.accounts[tenant]
		if a == nil {
			continue
		}
		for _, name := range a.quotas {
			standings[name] = &quotaStanding{spec: p.quotas.specs[name], limits: a.limits, refused: int32(len(a.waiting)) + waiting[tenant],
				used: v1alpha1.TenantUsage{Applications: a.applications, Replicas: a.replicas, Consumers: p.outsiders.used(tenant),
					Addresses: a.addresses}}
		}
	}
	clear(p.quotas.touched)
	p.board.quoted(standings, p.quotas.specs)
	for _, name := range slices.Sorted(maps.Keys(standings)) {
		p.board.touch(target{"tenantquotas", "", name})
	}
}
