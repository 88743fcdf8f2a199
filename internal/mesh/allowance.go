package mesh

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// allowance is one rule of a policy as it holds for an application's pods: what their proxies and the network let in.
type allowance struct {
	// callers are sorted; there is at least one.
	callers []record.Caller
	// tcp and udp are the pods' ports, sorted; one of them is not empty.
	tcp, udp []int32
	// methods and paths limit it to HTTP requests, of which only a proxy knows.
	methods, paths []string
}

func (a allowance) requestsOnly() bool { return len(a.methods)+len(a.paths) > 0 }

// The grammar of AccessRule. Istio reads more into a star, and into braces, than a policy means.
var (
	methodPattern = regexp.MustCompile(`^[A-Z]+$`)
	pathPattern   = regexp.MustCompile(`^(/[^*{}\s?#]*\*?|\*[^*{}\s?#]+)$`)
)

// allowances maps the policy's rules from the Service's ports to the pods', in the order of their names. A rule of which
// no port is left, or no caller, is left out: without them it would let in more, or everyone. So is one that cannot be, of
// which the first is the error. One about requests lets in no UDP, which carries none.
func allowances(p record.Policy, ports []record.Port) ([]allowance, error) {
	rules := slices.Clone(p.Rules)
	slices.SortStableFunc(rules, func(a, b record.Rule) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Index, b.Index))
	})
	out := make([]allowance, 0, len(rules))
	var wrong error
	for _, r := range rules {
		if err := checkRule(r); err != nil {
			wrong = cmp.Or(wrong, fmt.Errorf("AccessPolicy %s, rules[%d]: %w", r.Policy, r.Index, err))
			continue
		}
		a := allowance{callers: slices.Clone(r.Callers), methods: sortedSet(r.Methods), paths: sortedSet(r.Paths)}
		slices.SortFunc(a.callers, compareCallers)
		a.callers = slices.Compact(a.callers)
		for _, port := range ports {
			switch {
			case len(r.Ports) > 0 && !slices.Contains(r.Ports, port.Port):
			case port.Protocol == "TCP":
				a.tcp = append(a.tcp, port.TargetPort)
			case !a.requestsOnly():
				a.udp = append(a.udp, port.TargetPort)
			}
		}
		a.tcp, a.udp = sortedSet(a.tcp), sortedSet(a.udp)
		if len(a.callers) > 0 && len(a.tcp)+len(a.udp) > 0 {
			out = append(out, a)
		}
	}
	return out, wrong
}

func checkRule(r record.Rule) error {
	for i, c := range r.Callers {
		if !isLabel(c.Namespace) {
			return fmt.Errorf("callers[%d].namespace: %q is not a DNS label", i, c.Namespace)
		}
		if c.Application != "" && !isName(c.Application) {
			return fmt.Errorf("callers[%d].application: %q is not a DNS-1035 label", i, c.Application)
		}
	}
	for i, method := range r.Methods {
		if !methodPattern.MatchString(method) {
			return fmt.Errorf("methods[%d]: %q is not an HTTP method in capitals", i, method)
		}
	}
	for i, path := range r.Paths {
		if !pathPattern.MatchString(path) {
			return fmt.Errorf("paths[%d]: %q is not a path, with a star at its end or its beginning at most", i, path)
		}
	}
	return nil
}

func compareCallers(a, b record.Caller) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Application, b.Application))
}

// sortedSet is a copy; an empty one is nil.
func sortedSet[T cmp.Ordered](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// targets are the pods' ports of a protocol, sorted.
func targets(ports []record.Port, protocol string) []int32 {
	var out []int32
	for _, p := range ports {
		if p.Protocol == protocol {
			out = append(out, p.TargetPort)
		}
	}
	return sortedSet(out)
}
