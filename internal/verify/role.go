package verify

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Agent is whom a cluster gives what rights to as its Meridian agent.
type Agent struct {
	Cluster string
	// Wanted are the rights that the agent needs, Given those of all roles that are bound to it, by the namespace that they
	// are given in, empty for the whole cluster.
	Wanted, Given []Rights
}

// Rights are the rules of one role, as they are bound.
type Rights struct {
	Role      string
	Namespace string
	Rules     []rbacv1.PolicyRule
}

// right is one verb on one kind, as `verb group/resource`.
type right struct{ namespace, group, resource, name, verb string }

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.group != "" {
		text += "." + r.group
	}
	if r.name != "" {
		text += " " + r.name
	}
	if r.namespace != "" {
		text += " in namespace " + r.namespace
	}
	return text
}

// Agent examines whether the agent has the rights that it needs, and no others.
func (r *Report) Agent(a Agent) {
	wanted, given := rightsOf(a.Wanted), rightsOf(a.Given)
	r.examined(CheckRole)
	for role, extra := range byRole(given, wanted) {
		severity := Warning
		if slices.ContainsFunc(extra, dangerous) {
			severity = Critical
		}
		r.add(severity, CheckRole, a.Cluster+": "+role, "the agent has rights that it does not need: %s", some(extra))
	}
	var missing []right
	for one := range wanted {
		if !granted(one, given) {
			missing = append(missing, one)
		}
	}
	if len(missing) > 0 {
		r.add(Warning, CheckRole, a.Cluster, "the agent lacks rights that it needs: %s", some(missing))
	}
}

// rightsOf spells out the rules, each right with the roles that give it.
func rightsOf(all []Rights) map[right][]string {
	out := map[right][]string{}
	for _, of := range all {
		for _, rule := range of.Rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, verb := range rule.Verbs {
				for _, url := range rule.NonResourceURLs {
					one := right{resource: url, verb: verb}
					out[one] = append(out[one], of.Role)
				}
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						for _, name := range names {
							one := right{of.Namespace, group, resource, name, verb}
							out[one] = append(out[one], of.Role)
						}
					}
				}
			}
		}
	}
	return out
}

// byRole are the rights that are given and not wanted, by the role that gives them.
func byRole(given, wanted map[right][]string) map[string][]right {
	out := map[string][]right{}
	for one, roles := range given {
		if granted(one, wanted) {
			continue
		}
		for _, role := range roles {
			out[role] = append(out[role], one)
		}
	}
	return out
}

// granted tells whether a right is among others, or part of a wider one.
func granted(one right, among map[right][]string) bool {
	if _, ok := among[one]; ok {
		return true
	}
	for other := range among {
		if covers(other.namespace, one.namespace, "") && covers(other.group, one.group, "*") && covers(other.resource, one.resource, "*") &&
			covers(other.name, one.name, "") && covers(other.verb, one.verb, "*") {
			return true
		}
	}
	return false
}

func covers(wide, narrow, everything string) bool { return wide == narrow || wide == everything }

// dangerous tells whether a right is, or leads to, the whole cluster's.
func dangerous(r right) bool {
	switch {
	case r.verb == "*", r.group == "*", r.resource == "*", r.resource == "secrets", r.group == "rbac.authorization.k8s.io":
		return true
	case r.group == "admissionregistration.k8s.io", r.group == "certificates.k8s.io" && r.verb != "list", r.group == "apiextensions.k8s.io":
		return true
	case strings.HasPrefix(r.resource, "pods/"), strings.HasPrefix(r.resource, "nodes/"), r.resource == "serviceaccounts/token":
		return true
	}
	return r.verb == "impersonate" || r.verb == "escalate" || r.verb == "bind"
}

const shown = 5

// some names a few rights and counts the rest.
func some(rights []right) string {
	slices.SortFunc(rights, func(a, b right) int { return strings.Compare(a.String(), b.String()) })
	var out []string
	for _, one := range rights[:min(shown, len(rights))] {
		out = append(out, one.String())
	}
	text := strings.Join(out, ", ")
	if rest := len(rights) - shown; rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return text
}
