package global

import (
	"context"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// externalStanding is what was decided on an ExternalService.
type externalStanding struct {
	generation int64
	refused    *refusal
	// kept says that some stay let in until it is confirmed that what is missing at the hub is gone.
	kept bool
	// address says that a port in force needs one.
	address bool
}

// publishExternals tells the board what was decided on ExternalServices that were planned.
func (p *planner) publishExternals(names []string) {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	for _, name := range names {
		if x := p.externals.specs[name]; x != nil {
			p.board.externals[name] = x.standing
		} else {
			delete(p.board.externals, name)
		}
	}
}

// tellExternal records the change of an ExternalService that was planned.
func (p *planner) tellExternal(ctx context.Context, name string) {
	spec, ok := p.hub.externals.get(externalKey(name))
	x := p.externals.specs[name]
	if ok && x != nil && x.standing.generation == spec.Generation { // else it has changed since, and is planned again
		p.changes.see(ctx, "ExternalService", spec, spec.Generation, spec.Status.Conditions, messageOf(x.standing.refused))
	} else if !ok && x == nil {
		p.changes.gone(ctx, "ExternalService", externalKey(name))
	}
}

// accepted is the condition that says whether it is.
func (s externalStanding) accepted() metav1.Condition {
	switch {
	case s.refused != nil:
		return condition(v1alpha1.ConditionAccepted, false, s.refused.reason, s.refused.message)
	case s.kept:
		return condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted,
			"Whoever could depend on it still can until the specs that are missing are confirmed")
	}
	return condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted, "")
}

// externalService computes the status of an ExternalService.
func (b *board) externalService(t target) (types.UID, any, any) {
	spec, ok := b.hub.externals.get(t.key())
	b.mu.Lock()
	s, planned := b.externals[externalName(t.key())]
	b.mu.Unlock()
	if !ok || !planned {
		return "", nil, nil
	}
	after := v1alpha1.ExternalServiceStatus{ObservedGeneration: s.generation, Conditions: slices.Clone(spec.Status.Conditions)}
	set(&after.Conditions, s.generation, s.accepted())
	if !s.address {
		meta.RemoveStatusCondition(&after.Conditions, v1alpha1.ConditionAllocated)
		return spec.UID, spec.Status, after
	}
	var had netip.Prefix
	if addr, err := netip.ParseAddr(spec.Status.Address); err == nil {
		had = netip.PrefixFrom(addr, addr.BitLen())
	}
	prefix, _, said := b.outcome(ownerExternal+t.key(), had, "")
	if prefix.IsValid() {
		after.Address = prefix.Addr().String()
	}
	set(&after.Conditions, s.generation, said)
	return spec.UID, spec.Status, after
}
