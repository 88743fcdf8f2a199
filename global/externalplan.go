package global

import (
	"fmt"
	"net/netip"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
)

// planExternal decides the ExternalService of a name anew and returns what must be written for it. What depends on it is
// added to dirty where that makes a difference. One that is refused keeps what it has, but for who may depend on it, which
// follows the spec and the namespaces of now. One that is gone does until its removal is due.
func (p *planner) planExternal(name string, removed map[string]record.Cause, dirty *todo) []store.Write {
	who := callerOf(name)
	now := inForce(p.mirror.Snapshot(), who.Namespace, who.Application)
	p.quotas.settle(name, p.tenantOf(name))
	spec, ok := p.hub.externals.get(externalKey(name))
	if !ok {
		cause, due := removed[name]
		if !due {
			return nil
		}
		return p.dropExternal(name, now, cause, dirty)
	}
	x := p.externals.set(name, spec, p.guard.doubtful())
	held, stands := p.heldExternal(name)
	want, refused := admitExternal(spec, p.labels(who.Namespace), p.inventory, p.isNamespace)
	var policy record.Policy
	var kept bool
	if refused == nil {
		policy, kept, refused = p.consumers(name, want.Environment, x)
	}
	switch {
	case refused == nil:
		p.externalAddress(name, want, spec)
	case !stands:
		x.standing = externalStanding{generation: spec.Generation, refused: refused}
		p.meet(name, face{}, dirty)
		return now.removals(nil, record.CausePerson)
	default:
		want = held
		var over *refusal
		if policy, kept, over = p.consumers(name, held.Environment, x); over != nil {
			policy = p.callers.faces[name].policy
		}
		p.keepClaim(name)
	}
	before := spec.Status.Address // where the store was lost, the hub knows
	if stands {
		before = held.External.Address
	}
	want.External.Address = p.given(ownerExternal+externalKey(name), before)
	x.standing = externalStanding{generation: spec.Generation, refused: refused, kept: kept, address: needsAddress(want.Ports)}
	out := plan{records: []record.Record{want.Record()}}
	r := policy.Record()
	if len(policy.Rules) > 0 { // inside its namespace everybody may depend on it, and nothing need be kept
		out.records = append(out.records, r)
	}
	p.meet(name, face{true, policy, r.Version}, dirty)
	return out.writes(now, record.CausePerson)
}

// isNamespace tells whether there is a Namespace at the hub.
func (p *planner) isNamespace(name string) bool {
	_, ok := p.hub.namespaces.get(name)
	return ok
}

// dropExternal forgets an ExternalService whose spec is gone.
func (p *planner) dropExternal(name string, now force, cause record.Cause, dirty *todo) []store.Write {
	p.externals.forget(name)
	p.quotas.release(name)
	p.meet(name, face{}, dirty)
	p.letGo(ownerExternal+externalKey(name), cause)
	return now.removals(nil, cause)
}

// heldExternal reads the record in force of an ExternalService.
func (p *planner) heldExternal(name string) (record.Service, bool) {
	who := callerOf(name)
	e, ok := p.mirror.Snapshot().Get(record.ServiceKey(who.Namespace, who.Application))
	if !ok {
		return record.Service{}, false
	}
	s, err := record.DecodeService(e.Record)
	if err != nil {
		p.log.Error("stored service cannot be read", "record", e.Key, "error", err)
	}
	return s, err == nil && s.External != nil
}

// consumers are who may depend on an ExternalService of an environment, tenants expanded, as the policy that judges
// dependencies. Nothing enforces it but that: it stays at Global, where it outlives a restart. While it is in doubt whether
// a person took away what is missing at the hub, nobody is left out who was let in (kept), unless a person was seen to change
// the ExternalService meanwhile.
func (p *planner) consumers(name, environment string, x *external) (out record.Policy, kept bool, _ *refusal) {
	who := callerOf(name)
	out = record.Policy{Namespace: who.Namespace, Application: who.Application, Environment: environment}
	of := callee{namespace: who.Namespace, application: who.Application, environment: environment}
	if callers := callersOf(of, x.consumers, p.callers.tenancy); len(callers) > 0 {
		out.Rules = []record.Rule{{Callers: callers}}
		if size := sizeOf(out.Rules[0]); size > maxPolicyBytes {
			return out, false, &refusal{v1alpha1.ReasonSpecTooLarge, fmt.Sprintf(
				"spec.consumers: they come to %d KiB with the namespaces of tenants, at most %d KiB can be kept", size>>10, maxPolicyBytes>>10)}
		}
	}
	held, has := p.callers.faces[name]
	if kept = p.guard.doubtful() && !x.edited && has && held.policy.Environment == environment && !widens(held.policy, out); kept {
		return held.policy, true, nil
	}
	return out, false, nil
}

// externalAddress brings the claim of an ExternalService that is accepted into force, or ends it.
func (p *planner) externalAddress(name string, s record.Service, spec *v1alpha1.ExternalService) {
	owner := ownerExternal + externalKey(name)
	if !needsAddress(s.Ports) {
		p.letGo(owner, record.CausePerson)
		p.quotas.release(name)
		return
	}
	a := ask{owner: owner, single: true, everywhere: true, tenant: p.tenantOf(name)}
	if r := spec.Spec.Address; r != nil {
		a.pool, a.ipv6 = r.Pool, r.Family == v1alpha1.IPv6
	}
	if a.pool == "" {
		a.purpose = record.PurposeService
	}
	if refused := p.affordClaim(name, a, spec.CreationTimestamp.Time); refused != nil {
		p.board.asked(owner, &asked{refused: refused, claim: p.asks.claims[owner]})
		return
	}
	p.stake(a)
	if held, has := p.asks.claims[owner]; has {
		p.chargeClaim(name, a.tenant, held)
	}
}

// keepClaim tells the board of the claim of an ExternalService that keeps what it has.
func (p *planner) keepClaim(name string) {
	owner := ownerExternal + externalKey(name)
	if held, has := p.asks.claims[owner]; has {
		p.board.asked(owner, &asked{claim: held})
	}
}

// given is the address that an owner's claim was given; what is not told now is as it was before.
func (p *planner) given(owner, before string) string {
	claim, has := p.asks.claims[owner]
	if !has {
		return ""
	}
	if a, fits := p.reports.granted(claim); fits {
		return a.Prefix.Addr().String()
	}
	if a, told := p.reports.allotment(claim.Record().Key); told && a.Reason != ipam.ReasonStoreSetBack {
		return ""
	}
	had, err := netip.ParseAddr(before)
	if err != nil || !ipam.Meets(claim, claim.Pool, netip.PrefixFrom(had, had.BitLen())) {
		return ""
	}
	return before
}
