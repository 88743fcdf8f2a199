package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// Call is a call of an application. Port, Method and Path may each be zero, which asks whether any will do; the caller
// may not. A Caller without an Application is one of its namespace of which nothing more is known: what one application
// alone may do, it may not.
type Call struct {
	Caller record.Caller
	// Port is the Service's.
	Port   int32
	Method string
	// Path of a request, as it was sent or without its query. One that is not in its shortest form (/a/../b, /a//b)
	// matches no rule that names paths, since what it is taken for hangs on the server.
	Path string
	// Opaque: the port does not speak HTTP, so rules that name methods or paths do not concern the call.
	Opaque bool
}

// Decision is what holds for a call, in words for people.
type Decision struct {
	Allowed bool
	// Rule decides, such as "AccessPolicy payments/ledger-callers rule 1", rules counted from one. Where the call names
	// no port, method or path and the rule does, the rule's limits follow in parentheses. Empty if nothing speaks of the
	// caller.
	Rule string
	// Reason says why the call is refused; empty if it is allowed.
	Reason string
}

// Decide decides a call of the application that p is about. Of several rules that allow it, the one with the fewest
// limits beyond what the call names is given, of equals the first.
func Decide(p record.Policy, c Call) Decision {
	if inside(p, c.Caller) && len(p.IsolatedBy) == 0 {
		return Decision{Allowed: true, Rule: "calls inside namespace " + p.Namespace + " are allowed"}
	}
	if best := bestRule(p, c); best != nil {
		return Decision{Allowed: true, Rule: ruleName(p, *best) + limits(*best, c)}
	}
	return refuse(p, c)
}

// MayCall tells whether the caller may make some call.
func MayCall(p record.Policy, caller record.Caller) bool {
	if inside(p, caller) && len(p.IsolatedBy) == 0 {
		return true
	}
	for i := range p.Rules {
		if concerns(p.Rules[i], caller) {
			return true
		}
	}
	return false
}

func inside(p record.Policy, caller record.Caller) bool {
	return caller.Namespace != "" && caller.Namespace == p.Namespace
}

// bestRule is nil if no rule allows the call.
func bestRule(p record.Policy, c Call) *record.Rule {
	var best *record.Rule
	least := 0
	for i := range p.Rules {
		r := &p.Rules[i]
		if !concerns(*r, c.Caller) || !allows(*r, c) {
			continue
		}
		if n := countLimits(*r, c); best == nil || n < least {
			best, least = r, n
		}
		if least == 0 {
			break
		}
	}
	return best
}

// concerns tells whether the rule is about the caller.
func concerns(r record.Rule, caller record.Caller) bool {
	if caller.Namespace == "" {
		return false
	}
	if _, all := slices.BinarySearchFunc(r.Callers, record.Caller{Namespace: caller.Namespace}, compare); all {
		return true
	}
	_, named := slices.BinarySearchFunc(r.Callers, caller, compare)
	return named
}

// compare is the order in which a rule has its callers.
func compare(a, b record.Caller) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Application, b.Application))
}

// refuse says why no rule allows the call: the nearest that one came.
func refuse(p record.Policy, c Call) Decision {
	for _, r := range p.Rules {
		if concerns(r, c.Caller) {
			rule := ruleName(p, r)
			return Decision{Rule: rule, Reason: rule + " " + mismatch(r, c)}
		}
	}
	who := callerName(c.Caller)
	if inside(p, c.Caller) {
		rule := "AccessPolicy " + p.Namespace + "/" + p.IsolatedBy[0]
		return Decision{Rule: rule + " (sameNamespace Deny)", Reason: fmt.Sprintf(
			"%s takes away calls inside namespace %s, and no rule allows %s", rule, p.Namespace, who)}
	}
	return Decision{Reason: fmt.Sprintf("no AccessPolicy of namespace %s allows %s to call %s", p.Namespace, who, p.Application)}
}

func callerName(c record.Caller) string {
	switch {
	case c.Namespace == "":
		return "an unknown caller"
	case c.Application == "":
		return "namespace " + c.Namespace
	}
	return record.ServiceName(c.Namespace, c.Application)
}

func ruleName(p record.Policy, r record.Rule) string {
	return fmt.Sprintf("AccessPolicy %s/%s rule %d", p.Namespace, r.Policy, r.Index+1)
}

// limits are what the rule names and the call does not.
func limits(r record.Rule, c Call) string {
	var out []string
	if c.Port == 0 && len(r.Ports) > 0 {
		out = append(out, "ports "+joinPorts(r.Ports))
	}
	if c.Method == "" && len(r.Methods) > 0 {
		out = append(out, "methods "+strings.Join(r.Methods, ", "))
	}
	if c.Path == "" && len(r.Paths) > 0 {
		out = append(out, "paths "+strings.Join(r.Paths, ", "))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, "; ") + " only)"
}

func countLimits(r record.Rule, c Call) int {
	n := 0
	if c.Port == 0 && len(r.Ports) > 0 {
		n++
	}
	if c.Method == "" && len(r.Methods) > 0 {
		n++
	}
	if c.Path == "" && len(r.Paths) > 0 {
		n++
	}
	return n
}

func joinPorts(ports []int32) string {
	text := make([]string, len(ports))
	for i, p := range ports {
		text[i] = fmt.Sprint(p)
	}
	return strings.Join(text, ", ")
}
