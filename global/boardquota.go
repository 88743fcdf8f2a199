package global

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// quotaStanding is how a tenant stands by one of its TenantQuotas.
type quotaStanding struct {
	spec    *v1alpha1.TenantQuota
	limits  limits
	used    v1alpha1.TenantUsage
	refused int32
}

// quoted notes how tenants stand, and forgets quotas that are gone.
func (b *board) quoted(standings map[string]*quotaStanding, all map[string]*v1alpha1.TenantQuota) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, s := range standings {
		b.quotas[name] = *s
	}
	if len(b.quotas) > len(all) {
		for name := range b.quotas {
			if all[name] == nil {
				delete(b.quotas, name)
			}
		}
	}
}

// tenantQuota computes the status of a TenantQuota.
func (b *board) tenantQuota(t target) (types.UID, any, any) {
	quota, ok := b.hub.quotas.get(t.name)
	b.mu.Lock()
	s, known := b.quotas[t.name]
	b.mu.Unlock()
	if !ok || !known {
		return "", nil, nil
	}
	after := v1alpha1.TenantQuotaStatus{ObservedGeneration: s.spec.Generation, Conditions: slices.Clone(quota.Status.Conditions),
		Used: s.used, Limits: s.limits.status(), Refused: s.refused}
	c := condition(v1alpha1.ConditionWithinLimits, true, v1alpha1.ReasonWithinLimits, "")
	if over := s.over(); over != "" {
		c = condition(v1alpha1.ConditionWithinLimits, false, v1alpha1.ReasonOverQuota, over)
	}
	set(&after.Conditions, s.spec.Generation, c)
	return quota.UID, quota.Status, after
}

// over says of what the tenant has more than this quota allows.
func (s *quotaStanding) over() string {
	var over []string
	say := func(what string, used int64, most *int64) {
		if most != nil && used > *most {
			over = append(over, fmt.Sprintf("%s: %d used, limit %d", what, used, *most))
		}
	}
	say("applications", s.used.Applications, s.spec.Spec.Applications)
	say("replicas", s.used.Replicas, s.spec.Spec.Replicas)
	say("consumers", s.used.Consumers, s.spec.Spec.Consumers)
	say("addresses", s.used.Addresses, s.spec.Spec.Addresses)
	if len(over) == 0 {
		return ""
	}
	return strings.Join(over, "; ") + "; what was accepted stays, and nothing more is accepted"
}

// status is the limits as the resource says them.
func (l limits) status() v1alpha1.TenantLimits {
	most := func(c ceiling) *int64 {
		if c.by == "" {
			return nil
		}
		return &c.most
	}
	return v1alpha1.TenantLimits{Applications: most(l.applications), Replicas: most(l.replicas), Consumers: most(l.consumers),
		Addresses: most(l.addresses), ResourceKinds: l.kinds}
}
