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
	ports                    []record.Port
}

func calleeOf(namespace, application, environment string, ports []v1alpha1.Port) callee {
	out := callee{namespace: namespace, application: application, environment: environment}
	for _, p := range ports {
		out.ports = append(out.ports, record.Port{Port: p.Port, TargetPort: cmp.Or(p.TargetPort, p.Port),
			Protocol: cmp.Or(string(p.Protocol), "TCP")})
	}
	return out
}

// surplus is an AccessPolicy of which something cannot be in force for an application: its rules, where there is no room
// for them, or ports of a rule.
type surplus struct{ policy, why string }

// compilePolicy brings together the policies that concern an application, given by name. It never allows more than they
// say: a rule is left out where none of its callers or of its ports is there, and so are all rules of a policy that
// would make too many (over). Ports that cannot be opened alone are left out too (shared). What a policy takes away inside
// the namespace holds in any case.
func compilePolicy(of callee, policies []*v1alpha1.AccessPolicy, known *tenancy) (out record.Policy, over, shared []surplus) {
	out = record.Policy{Namespace: of.namespace, Application: of.application, Environment: of.environment,
		TrustDomain: of.trustDomain}
	bytes := 0
	for _, p := range policies {
		if p.Spec.SameNamespace == v1alpha1.SameNamespaceDeny {
			out.IsolatedBy = append(out.IsolatedBy, p.Name)
		}
		rules, why := rulesOf(of, p, known)
		if len(why) > 0 {
			shared = append(shared, surplus{p.Name, listed(why)})
		}
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
	return out, over, shared
}

// rulesOf are the rules of one policy that mean something for the application, and why ports of them are left out.
func rulesOf(of callee, p *v1alpha1.AccessPolicy, known *tenancy) (out []record.Rule, left []string) {
	for i, r := range p.Spec.Rules {
		rule := record.Rule{Policy: p.Name, Index: int32(i), Callers: callersOf(of, r.From, known),
			Methods: slices.Sorted(slices.Values(r.Methods)), Paths: slices.Sorted(slices.Values(r.Paths))}
		var why []string
		if rule.Ports, why = portsOf(of, r.Ports); len(rule.Callers) == 0 {
			continue
		}
		for _, w := range why {
			left = append(left, fmt.Sprintf("rule %d does not open %s", i+1, w))
		}
		if len(r.Ports) == 0 || len(rule.Ports) > 0 {
			out = append(out, rule)
		}
	}
	return out, left
}

// portsOf are the application's ports of those that a rule names, sorted. Sidecars and networks see target ports alone, so
// a port is left out whose target is that of another which the rule does not open; left says which.
func portsOf(of callee, named []int32) (open []int32, left []string) {
	for _, p := range of.ports {
		if slices.Contains(named, p.Port) && !slices.Contains(open, p.Port) {
			open = append(open, p.Port)
		}
	}
	slices.Sort(open)
	for i := 0; i < len(open); i++ {
		if why := of.apart(open[i], open); why != "" {
			left = append(left, why)
			open = slices.Delete(open, i, i+1)
			i = -1 // another may have shared its target with this one
		}
	}
	return open, left
}

// apart says why a port cannot be opened with no more than some others, or "".
func (of callee) apart(port int32, open []int32) string {
	for _, p := range of.ports {
		if p.Port != port {
			continue
		}
		for _, other := range of.ports {
			if other.TargetPort == p.TargetPort && other.Protocol == p.Protocol && !slices.Contains(open, other.Port) {
				return fmt.Sprintf("port %d because port %d has the same target port %d", port, other.Port, p.TargetPort)
			}
		}
	}
	return ""
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
