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
		from, wrong := sources(p.TrustDomain, []record.Caller{{Namespace: s.namespace}})
		err = cmp.Or(err, wrong)
		if len(from) > 0 {
			rules = append(rules, fields{{"from", from}})
		}
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

// sources names callers by their identities, those of a whole namespace by how they begin. A namespace's name alone would let
// in one of another trust domain that is called the same. Nobody is named if the trust domain cannot be one.
func sources(trustDomain string, callers []record.Caller) ([]any, error) {
	if len(callers) == 0 {
		return nil, nil
	}
	if len(validation.IsDNS1123Subdomain(trustDomain)) > 0 {
		return nil, fmt.Errorf("trustDomain: %q is not a DNS name", trustDomain)
	}
	principals := make([]string, len(callers))
	for i, c := range callers {
		principals[i] = trustDomain + "/ns/" + c.Namespace + "/sa/" + cmp.Or(c.Application, "*")
	}
	return []any{fields{{"source", fields{{"principals", principals}}}}}, nil
}
