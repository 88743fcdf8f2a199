package global

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// judgement is what Global makes of one AccessPolicy.
type judgement struct {
	generation   int64
	applications int32
	refused      *refusal
	// note tells of what the policy names and is not there, or cannot be opened.
	note string
}

// publishPolicies judges the AccessPolicies that were touched, and has their statuses computed anew. One that is gone has no
// judgement.
func (p *planner) publishPolicies() map[string]*judgement {
	judged := map[string]*judgement{}
	for key := range p.callers.touched {
		judged[key] = nil
		if policy := p.callers.policies.specs[key]; policy != nil {
			judged[key] = p.judgement(key, policy)
		}
	}
	clear(p.callers.touched)
	p.board.judged(judged)
	for key := range judged {
		namespace, name, _ := strings.Cut(key, "/")
		p.board.touch(target{"accesspolicies", namespace, name})
	}
	return judged
}

func (p *planner) judgement(key string, policy *v1alpha1.AccessPolicy) *judgement {
	out := &judgement{generation: policy.Generation}
	p.concerned(policy, func(string) { out.applications++ })
	environment := p.callers.tenancy.homes[policy.Namespace].environment
	switch _, exists := p.inventory.environments[environment]; {
	case environment == "":
		out.refused = &refusal{v1alpha1.ReasonNamespaceHasNoEnvironment, fmt.Sprintf(
			"namespace %s has no environment; label it %s=NAME with the name of an Environment", policy.Namespace, v1alpha1.LabelEnvironment)}
	case !exists:
		out.refused = &refusal{v1alpha1.ReasonUnknownEnvironment, fmt.Sprintf(
			"namespace %s is labelled %s=%s, and there is no Environment of that name", policy.Namespace, v1alpha1.LabelEnvironment, environment)}
	case p.outsiders.refused[key] != nil:
		out.refused = p.outsiders.refused[key]
	case len(p.callers.surplus[key]) > 0:
		over := p.callers.surplus[key]
		first := slices.Sorted(maps.Keys(over))[0]
		out.refused = &refusal{v1alpha1.ReasonTooManyRules, fmt.Sprintf("no rule of this policy is in force for %s: with it, %s",
			listed(slices.Collect(maps.Keys(over))), over[first])}
	default:
		kept := ""
		if p.guard.doubtful() && !p.callers.edited[key] {
			kept = "What was allowed stays allowed until the specs that are missing are confirmed, unless this policy is changed again"
		}
		out.note = strings.Join(slices.DeleteFunc([]string{kept, p.confused(key), p.strangers(policy, environment)},
			func(s string) bool { return s == "" }), "; ")
	}
	return out
}

// confused tells of ports that a policy names and that cannot be opened alone.
func (p *planner) confused(key string) string {
	shared := p.callers.shared[key]
	if len(shared) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(shared))
	return fmt.Sprintf("Ports that share their target port with one that is not named stay closed for %s: in %s, %s", listed(slices.Clone(names)), names[0], shared[names[0]])
}

// strangers tells of what a policy names and is not there, or cannot call.
func (p *planner) strangers(policy *v1alpha1.AccessPolicy, environment string) string {
	var missing, unknown, elsewhere, callers, tenants []string
	for _, short := range policy.Spec.Applications {
		if name := record.ServiceName(policy.Namespace, short); p.apps[name] == nil {
			missing = append(missing, name)
		}
	}
	eachCaller(policy, func(c v1alpha1.CallerSelector) {
		h := p.callers.tenancy.homes[c.Namespace]
		switch name := record.ServiceName(c.Namespace, c.Application); {
		case c.Tenant != "":
			if len(p.callers.tenancy.ofTenant(environment, c.Tenant)) == 0 {
				tenants = append(tenants, c.Tenant)
			}
		case !h.exists:
			unknown = append(unknown, c.Namespace)
		case h.environment != environment:
			elsewhere = append(elsewhere, c.Namespace)
		case c.Application != "" && p.apps[name] == nil:
			callers = append(callers, name)
		}
	})
	var parts []string
	say := func(what string, names []string) {
		if len(names) > 0 {
			parts = append(parts, what+": "+listed(names))
		}
	}
	say("Applications that do not exist", append(missing, callers...))
	say("namespaces that do not exist", unknown)
	say("namespaces that are not of environment "+environment, elsewhere)
	say("tenants without a namespace in environment "+environment, tenants)
	return strings.Join(parts, "; ")
}

// judged notes what was made of AccessPolicies, nil of those that are gone.
func (b *board) judged(judgements map[string]*judgement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, j := range judgements {
		if j == nil {
			delete(b.policies, key)
		} else {
			b.policies[key] = *j
		}
	}
}

// accessPolicy computes the status of an AccessPolicy.
func (b *board) accessPolicy(t target) (types.UID, any, any) {
	policy, ok := b.hub.policies.get(t.key())
	b.mu.Lock()
	j, judged := b.policies[t.key()]
	b.mu.Unlock()
	if !ok || !judged {
		return "", nil, nil
	}
	after := policy.Status
	after.Conditions = slices.Clone(after.Conditions)
	after.ObservedGeneration, after.Applications = j.generation, j.applications
	c := condition(v1alpha1.ConditionAccepted, true, v1alpha1.ReasonAccepted, j.note)
	if j.refused != nil {
		c = condition(v1alpha1.ConditionAccepted, false, j.refused.reason, j.refused.message)
	}
	set(&after.Conditions, j.generation, c)
	return policy.UID, policy.Status, after
}
