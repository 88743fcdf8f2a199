package global

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// callers is what the planner knows of who may call whom.
type callers struct {
	tenancy  *tenancy
	policies *accessPolicies
	// faces are the applications that have records, as their callers see them.
	faces map[string]face
	// surplus says, for each AccessPolicy, which applications have no room for its rules, and why; shared, which cannot
	// open all the ports of its rules.
	surplus, shared map[string]map[string]string
	// edited are AccessPolicies that a person was seen to change while it was in doubt who took away what is missing.
	edited map[string]bool
	// touched are AccessPolicies whose status may have changed.
	touched map[string]bool
}

func newCallers() *callers {
	return &callers{tenancy: newTenancy(), policies: newAccessPolicies(), faces: map[string]face{},
		surplus: map[string]map[string]string{}, shared: map[string]map[string]string{}, edited: map[string]bool{}, touched: map[string]bool{}}
}

// callerOf is NAMESPACE/APPLICATION as a caller.
func callerOf(name string) record.Caller {
	namespace, short, _ := strings.Cut(name, "/")
	return record.Caller{Namespace: namespace, Application: short}
}

// rehome notes what a namespace says, and has planned again what that concerns: what is in it, and whatever has a policy
// that names it or one of its tenants.
func (p *planner) rehome(namespace string, dirty *todo) {
	now := home{}
	if ns, ok := p.hub.namespaces.get(namespace); ok {
		now = homeOf(ns.Labels)
	}
	dirty.addAll(p.externals.hosts[namespace]) // a host is another's by there being the namespace
	before := p.callers.tenancy.set(namespace, now)
	if before == now {
		return
	}
	dirty.addAll(p.namespaces[namespace])
	for name := range p.namespaces[namespace] {
		p.quotas.settle(name, before.tenant)
		p.quotas.move(name, now.tenant)
	}
	for key := range p.asks.spaces[namespace] {
		p.quotas.settle(claimPrefix+key, before.tenant)
		p.quotas.move(claimPrefix+key, now.tenant)
		dirty.add(claimPrefix + key)
	}
	for name := range p.externals.namespaces[namespace] {
		p.quotas.settle(name, before.tenant)
		p.quotas.move(name, now.tenant)
	}
	p.externals.concerned(namespace, []string{before.tenant, now.tenant}, dirty)
	for _, name := range p.callers.policies.names[namespace] {
		p.callers.touched[record.ServiceName(namespace, name)] = true
		p.recount(record.ServiceName(namespace, name))
	}
	p.reconsider(p.callers.policies.callers[namespace], dirty)
	for _, tenant := range slices.Compact([]string{before.tenant, now.tenant}) {
		p.reconsider(p.callers.policies.tenants[tenant], dirty)
	}
}

// reconsider has everything planned again that some AccessPolicies concern.
func (p *planner) reconsider(policies map[string]bool, dirty *todo) {
	for key := range policies {
		p.callers.touched[key] = true
		p.recountCounted(key)
		p.concerned(p.callers.policies.specs[key], dirty.add)
	}
}

// concerned looks at the applications that an AccessPolicy concerns.
func (p *planner) concerned(policy *v1alpha1.AccessPolicy, look func(name string)) {
	if policy == nil {
		return
	}
	if len(policy.Spec.Applications) == 0 {
		for name := range p.namespaces[policy.Namespace] {
			look(name)
		}
		return
	}
	for _, short := range policy.Spec.Applications {
		if name := record.ServiceName(policy.Namespace, short); p.apps[name] != nil {
			look(name)
		}
	}
}

// revise notes what an AccessPolicy says, and has planned again what it concerns or concerned.
func (p *planner) revise(key string, dirty *todo) {
	now, ok := p.hub.policies.get(key)
	if !ok {
		now = nil
	}
	p.callers.touched[key] = true
	before := p.callers.policies.set(key, now)
	if now == before {
		return
	}
	p.callers.edit(key, p.guard.doubtful() && succeeds(before, now) || p.callers.edited[key] && sameSpec(before, now))
	p.concerned(before, dirty.add)
	p.concerned(now, dirty.add)
	p.permit(key, dirty)
}

// edit notes whether a person was seen to make an AccessPolicy what it is.
func (c *callers) edit(key string, is bool) {
	if is {
		c.edited[key] = true
	} else {
		delete(c.edited, key)
	}
}

// succeeds tells whether an AccessPolicy is a later state of one that was known: somebody changed it at the hub that it is at.
func succeeds(before, now *v1alpha1.AccessPolicy) bool {
	return before != nil && now != nil && now.UID == before.UID && now.Generation > before.Generation
}

func sameSpec(before, now *v1alpha1.AccessPolicy) bool {
	return before != nil && now != nil && now.UID == before.UID && now.Generation == before.Generation
}

// compile brings an application's policies together, and returns the record beside them. While it is in doubt whether a
// person took away what is missing at the hub, what was allowed stays allowed, but for what a person was seen to take away.
func (p *planner) compile(name string, of callee) (record.Policy, record.Record) {
	held := p.callers.faces[name]
	var ok bool
	if of.trustDomain, ok = p.inventory.environments[of.environment]; !ok { // what runs keeps its identities
		of.trustDomain = cmp.Or(held.policy.TrustDomain, defaultTrustDomain)
	}
	out, over, shared := compilePolicy(of, p.callers.policies.concerning(of.namespace, of.application), p.callers.tenancy)
	p.exceed(name, over, shared)
	if p.guard.doubtful() && !held.version.IsZero() && held.policy.Environment == out.Environment && !widens(held.policy, out) {
		out = p.callers.spare(held.policy, out)
	}
	return out, out.Record()
}

// spare keeps of the policy in force what comes of AccessPolicies that no person was seen to change, and takes the rest from
// the one that would be next.
func (c *callers) spare(held, next record.Policy) record.Policy {
	edited := func(policy string) bool { return c.edited[record.ServiceName(held.Namespace, policy)] }
	out := held
	out.Rules = slices.DeleteFunc(slices.Clone(held.Rules), func(r record.Rule) bool { return edited(r.Policy) })
	out.IsolatedBy = slices.DeleteFunc(slices.Clone(held.IsolatedBy), edited)
	for _, r := range next.Rules {
		if edited(r.Policy) {
			out.Rules = append(out.Rules, r)
		}
	}
	for _, policy := range next.IsolatedBy {
		if edited(policy) {
			out.IsolatedBy = append(out.IsolatedBy, policy)
		}
	}
	slices.SortStableFunc(out.Rules, func(a, b record.Rule) int {
		return cmp.Or(strings.Compare(a.Policy, b.Policy), cmp.Compare(a.Index, b.Index))
	})
	slices.Sort(out.IsolatedBy)
	return out
}

// exceed notes which policies have more rules than the application has room for, and which name ports that it cannot open
// alone.
func (p *planner) exceed(name string, over, shared []surplus) {
	app := p.apps[name]
	app.surplus = p.callers.note(p.callers.surplus, name, app.surplus, over)
	app.shared = p.callers.note(p.callers.shared, name, app.shared, shared)
}

// note has what is said of policies on account of an application be this, and returns the policies' keys; before are
// those of which something was said.
func (c *callers) note(said map[string]map[string]string, name string, before []string, now []surplus) []string {
	for _, key := range before {
		c.touched[key] = true
		if delete(said[key], name); len(said[key]) == 0 {
			delete(said, key)
		}
	}
	keys := before[:0]
	for _, s := range now {
		key := record.ServiceName(callerOf(name).Namespace, s.policy)
		if said[key] == nil {
			said[key] = map[string]string{}
		}
		said[key][name] = s.why
		c.touched[key] = true
		keys = append(keys, key)
	}
	return keys
}

// appears notes that an application came or went: policies that concern it or name it as a caller say so.
func (p *planner) appears(name string) {
	who := callerOf(name)
	for _, policy := range p.callers.policies.concerning(who.Namespace, who.Application) {
		p.callers.touched[record.ServiceName(policy.Namespace, policy.Name)] = true
	}
	for key := range p.callers.policies.callers[who.Namespace] {
		p.callers.touched[key] = true
	}
}

// meet notes what callers see of an application now, and has those that depend on it planned again for whom that makes a
// difference.
func (p *planner) meet(name string, now face, dirty *todo) {
	before := p.callers.faces[name]
	if p.callers.faces[name] = now; now.version.IsZero() {
		delete(p.callers.faces, name)
	}
	if before.callable == now.callable && before.version == now.version {
		return
	}
	for dependent := range p.dependents[name] {
		app := p.apps[dependent]
		if app == nil {
			continue
		}
		caller := callerOf(dependent)
		if judge(caller, app.environment, before) != judge(caller, app.environment, now) {
			dirty.add(dependent)
		}
	}
}

// judge says whether an application may depend on another.
func (p *planner) judge(name string) func(other string) verdict {
	caller, environment := callerOf(name), p.apps[name].environment
	return func(other string) verdict { return judge(caller, environment, p.callers.faces[other]) }
}

// acquaint learns, at the start of a term, who belongs to whom, what the policies say, who could be called by whom, and
// who depended on whom.
func (p *planner) acquaint(snapshot *store.Snapshot) {
	for _, ns := range p.hub.namespaces.all() {
		p.callers.tenancy.set(ns.Name, homeOf(ns.Labels))
	}
	for _, policy := range p.hub.policies.all() {
		key := record.ServiceName(policy.Namespace, policy.Name)
		p.callers.policies.set(key, policy)
		p.callers.touched[key] = true
	}
	for e := range snapshot.All(record.KindService) {
		if s, err := record.DecodeService(e.Record); err == nil { // one of a release without policies lets in its namespace
			p.callers.faces[e.Key.Name] = face{callable: true, policy: record.Policy{Namespace: s.Namespace,
				Application: s.Application, Environment: s.Environment}}
		}
	}
	for e := range snapshot.All(record.KindPolicy) {
		if policy, err := record.DecodePolicy(e.Record); err == nil {
			p.callers.faces[e.Key.Name] = face{p.callers.faces[e.Key.Name].callable, policy, e.Version}
		}
	}
	follows := map[string]*consumer{}
	for e := range snapshot.All(record.KindAssignment) {
		a, err := record.DecodeAssignment(e.Record)
		if err != nil {
			continue
		}
		name := record.ServiceName(a.Namespace, a.Application)
		if follows[name] == nil {
			follows[name] = &consumer{}
		}
		follows[name].add(a)
	}
	for name, c := range follows {
		p.audiences.set(name, *c, record.CausePerson)
	}
	for e := range snapshot.All(record.KindAudience) {
		p.audiences.touched[e.Key.Name] = true
	}
}
