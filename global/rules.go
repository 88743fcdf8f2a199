package global

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// Bounds of one application's compiled policy. An AuthorizationPolicy takes 512 rules, and one of these lets in the
// application's own namespace. A policy is one record in every tier's store and one message on every hop.
const (
	maxRules       = 511
	maxPolicyBytes = 256 << 10
)

// callee is an application whose policy is compiled.
type callee struct {
	namespace, application   string
	environment, trustDomain string
	ports                    []int32
}

func calleeOf(namespace, application, environment string, ports []v1alpha1.Port) callee {
	out := callee{namespace: namespace, application: application, environment: environment}
	for _, p := range ports {
		out.ports = append(out.ports, p.Port)
	}
	return out
}

// surplus is an AccessPolicy whose rules an application has no room for.
type surplus struct{ policy, why string }

// compilePolicy brings together the policies that concern an application, given by name. It never allows more than they
// say: a rule is left out where none of its callers or of its ports is there, and so are all rules of a policy that
// would make too many. What a policy takes away inside the namespace holds in any case.
func compilePolicy(of callee, policies []*v1alpha1.AccessPolicy, known *tenancy) (record.Policy, []surplus) {
	out := record.Policy{Namespace: of.namespace, Application: of.application, Environment: of.environment,
		TrustDomain: of.trustDomain}
	var over []surplus
	bytes := 0
	for _, p := range policies {
		if p.Spec.SameNamespace == v1alpha1.SameNamespaceDeny {
			out.IsolatedBy = append(out.IsolatedBy, p.Name)
		}
		rules := rulesOf(of, p, known)
		size := 0
		for _, r := range rules {
			size += sizeOf(r)
		}
		switch {
		case len(out.Rules)+len(rules) > maxRules:
			over = append(over, surplus{p.Name, fmt.Sprintf("%s would have %d rules, at most %d", of.application, len(out.Rules)+len(rules), maxRules)})
		case bytes+size > maxPolicyBytes:
			over = append(over, surplus{p.Name, fmt.Sprintf("the rules of %s would have %d KiB with their callers, at most %d KiB can travel",
				of.application, (bytes+size)>>10, maxPolicyBytes>>10)})
		default:
			out.Rules, bytes = append(out.Rules, rules...), bytes+size
		}
	}
	return out, over
}

// rulesOf are the rules of one policy that mean something for the application.
func rulesOf(of callee, p *v1alpha1.AccessPolicy, known *tenancy) []record.Rule {
	var out []record.Rule
	for i, r := range p.Spec.Rules {
		rule := record.Rule{Policy: p.Name, Index: int32(i), Callers: callersOf(of, r.From, known),
			Methods: slices.Sorted(slices.Values(r.Methods)), Paths: slices.Sorted(slices.Values(r.Paths))}
		for _, port := range r.Ports {
			if slices.Contains(of.ports, port) {
				rule.Ports = append(rule.Ports, port)
			}
		}
		slices.Sort(rule.Ports)
		if len(rule.Callers) == 0 || len(r.Ports) > 0 && len(rule.Ports) == 0 {
			continue
		}
		out = append(out, rule)
	}
	return out
}

// callersOf expands selectors to callers of the application's environment, sorted. One that its whole namespace stands
// for is left out.
func callersOf(of callee, from []v1alpha1.CallerSelector, known *tenancy) []record.Caller {
	var out []record.Caller
	for _, c := range from {
		switch {
		case c.Tenant != "":
			for _, namespace := range known.ofTenant(of.environment, c.Tenant) {
				out = append(out, record.Caller{Namespace: namespace})
			}
		case c.Namespace != "" && known.homes[c.Namespace].environment == of.environment:
			out = append(out, record.Caller{Namespace: c.Namespace, Application: c.Application})
		}
	}
	slices.SortFunc(out, compareCallers)
	kept := out[:0]
	for _, c := range out {
		if n := len(kept); n == 0 || kept[n-1] != c && kept[n-1] != (record.Caller{Namespace: c.Namespace}) {
			kept = append(kept, c)
		}
	}
	return kept
}

func compareCallers(a, b record.Caller) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Application, b.Application))
}

// sizeOf is about what a rule adds to a record, in bytes.
func sizeOf(r record.Rule) int {
	n := len(r.Policy) + 8 + 4*len(r.Ports)
	for _, c := range r.Callers {
		n += len(c.Namespace) + len(c.Application) + 6
	}
	for _, list := range [][]string{r.Methods, r.Paths} {
		for _, s := range list {
			n += len(s) + 3
		}
	}
	return n
}

// widens tells whether a policy allows all that another allowed, so that nothing is lost while the earlier still holds.
// It may say no of one that does.
func widens(before, after record.Policy) bool {
	if before.Environment != after.Environment || before.TrustDomain != after.TrustDomain ||
		len(before.IsolatedBy) == 0 && len(after.IsolatedBy) > 0 {
		return false
	}
	for _, r := range before.Rules {
		if !slices.ContainsFunc(after.Rules, func(a record.Rule) bool { return covers(a, r) }) {
			return false
		}
	}
	return true
}

// covers tells whether a rule has the limits of another and all of its callers.
func covers(r, other record.Rule) bool {
	if !slices.Equal(r.Ports, other.Ports) || !slices.Equal(r.Methods, other.Methods) || !slices.Equal(r.Paths, other.Paths) {
		return false
	}
	for _, c := range other.Callers {
		if _, found := slices.BinarySearchFunc(r.Callers, c, compareCallers); !found {
			return false
		}
	}
	return true
}
