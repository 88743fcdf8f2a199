package mesh

import (
	"cmp"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/record"
)

const groupSecurity = "security.istio.io"

// maxRules is the most that Istio's schema takes in one AuthorizationPolicy.
const maxRules = 512

// authorization tells the application's proxies whom to let in. One without rules lets nobody in. With an error, what is wrong
// is left out, and rules past the most that there can be: rules only let in.
func (s *Subject) authorization(p record.Policy) (Object, error) {
	allowed, err := allowances(p, s.ports)
	var rules []any
	if len(p.IsolatedBy) == 0 {
		rules = append(rules, fields{{"from", []any{sourceOf("namespaces", []string{s.namespace})}}})
	}
	for _, a := range allowed {
		if len(a.tcp) == 0 {
			continue
		}
		from, wrong := sources(p.TrustDomain, a.callers)
		err = cmp.Or(err, wrong)
		if len(from) > 0 {
			rules = append(rules, fields{{"from", from}, {"to", []any{fields{{"operation", operation(a)}}}}})
		}
	}
	if len(rules) > maxRules {
		err = cmp.Or(err, fmt.Errorf("%d rules, more than the %d that an AuthorizationPolicy takes", len(rules), maxRules))
		rules = rules[:maxRules]
	}
	if err != nil {
		err = fmt.Errorf("policy: %w", err)
	}
	spec := fields{{"action", "ALLOW"}, {"selector", fields{{"matchLabels", selectorOf(s.application)}}}}
	if len(rules) > 0 {
		spec = append(spec, field{"rules", rules})
	}
	return s.draft(s.authorizationID(), spec).seal(), err
}

func operation(a allowance) fields {
	ports := make([]string, len(a.tcp))
	for i, p := range a.tcp {
		ports[i] = strconv.Itoa(int(p))
	}
	out := fields{{"ports", ports}}
	if len(a.methods) > 0 {
		out = append(out, field{"methods", a.methods})
	}
	if len(a.paths) > 0 {
		out = append(out, field{"paths", a.paths})
	}
	return out
}

// sources names applications by their identities, and whole namespaces by name. With an error, it leaves the applications out.
func sources(trustDomain string, callers []record.Caller) ([]any, error) {
	var principals, namespaces []string
	for _, c := range callers {
		if c.Application == "" {
			namespaces = append(namespaces, c.Namespace)
		} else {
			principals = append(principals, trustDomain+"/ns/"+c.Namespace+"/sa/"+c.Application)
		}
	}
	var err error
	if len(principals) > 0 && len(validation.IsDNS1123Subdomain(trustDomain)) > 0 {
		principals, err = nil, fmt.Errorf("trustDomain: %q is not a DNS name", trustDomain)
	}
	var out []any
	if len(principals) > 0 {
		out = append(out, sourceOf("principals", principals))
	}
	if len(namespaces) > 0 {
		out = append(out, sourceOf("namespaces", namespaces))
	}
	return out, err
}

func sourceOf(of string, values []string) fields {
	return fields{{"source", fields{{of, values}}}}
}
