package global

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// defaultTrustDomain is Istio's.
const defaultTrustDomain = "cluster.local"

// trustDomains are those of environments, by name.
func trustDomains(all []*v1alpha1.Environment) map[string]string {
	out := map[string]string{}
	for _, e := range all {
		out[e.Name] = cmp.Or(e.Spec.TrustDomain, defaultTrustDomain)
	}
	return out
}

// domainsTaken names, for each environment that has the trust domain of an older one and does not say that it shares it,
// that one.
func domainsTaken(all []*v1alpha1.Environment) map[string]string {
	domains, first, out := trustDomains(all), map[string]string{}, map[string]string{}
	for _, e := range slices.SortedFunc(slices.Values(all), byAge) {
		owner, taken := first[domains[e.Name]]
		switch {
		case !taken:
			first[domains[e.Name]] = e.Name
		case !e.Spec.ShareTrustDomain:
			out[e.Name] = owner
		}
	}
	return out
}

// byAge is the oldest first.
func byAge(a, b *v1alpha1.Environment) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// domainTaken says that an environment has another's trust domain, and what to do.
func domainTaken(name, other, domain string) string {
	return fmt.Sprintf("environment %s has the trust domain %s of environment %s; give it another in spec.trustDomain, "+
		"or say spec.shareTrustDomain where they share a cluster with a mesh", name, domain, other)
}

// environment computes the status of an Environment.
func (b *board) environment(t target) (types.UID, any, any) {
	e, ok := b.hub.environments.get(t.name)
	inv := b.snapshot()
	if !ok || inv == nil {
		return "", nil, nil
	}
	after := e.Status
	after.Conditions = slices.Clone(after.Conditions)
	after.ObservedGeneration = e.Generation
	accepted := acceptance("")
	if other, taken := inv.taken[t.name]; taken {
		accepted = condition(v1alpha1.ConditionAccepted, false, v1alpha1.ReasonTrustDomainTaken, domainTaken(t.name, other, inv.environments[t.name]))
	}
	set(&after.Conditions, e.Generation, accepted)
	return e.UID, e.Status, after
}
