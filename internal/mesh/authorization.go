package mesh

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

const groupSecurity = "security.istio.io"

// maxRules is the most that Istio's schema takes in one AuthorizationPolicy.
const maxRules = 512

func (s *Spec) authorizationID() object.ID {
	return idOf(groupSecurity, "v1", "AuthorizationPolicy", s.namespace, s.application)
}

// authorization tells the application's proxies whom to let in. One without rules lets nobody in.
func (s *Spec) authorization(p record.Policy) (Object, error) {
	allowed, err := allowances(p, s.ports)
	if err != nil {
		return Object{}, fmt.Errorf("policy: %w", err)
	}
	var rules []any
	if len(p.IsolatedBy) == 0 {
		rules = append(rules, map[string]any{"from": []any{sourceOf("namespaces", []string{s.namespace})}})
	}
	for _, a := range allowed {
		if len(a.tcp) == 0 {
			continue
		}
		from, err := sources(p.TrustDomain, a.callers)
		if err != nil {
			return Object{}, fmt.Errorf("policy: %w", err)
		}
		rules = append(rules, map[string]any{"from": from, "to": []any{map[string]any{"operation": operation(a)}}})
	}
	if len(rules) > maxRules {
		return Object{}, fmt.Errorf("policy: %d rules, more than the %d that an AuthorizationPolicy takes", len(rules), maxRules)
	}
	spec := map[string]any{"action": "ALLOW", "selector": map[string]any{"matchLabels": selectorOf(s.application)}}
	if len(rules) > 0 {
		spec["rules"] = rules
	}
	return s.draft(s.authorizationID(), map[string]any{"spec": spec}).seal(), nil
}

func operation(a allowance) map[string]any {
	ports := make([]string, len(a.tcp))
	for i, p := range a.tcp {
		ports[i] = strconv.Itoa(int(p))
	}
	out := map[string]any{"ports": ports}
	if len(a.methods) > 0 {
		out["methods"] = a.methods
	}
	if len(a.paths) > 0 {
		out["paths"] = a.paths
	}
	return out
}

// sources names applications by their identities, and whole namespaces by name.
func sources(trustDomain string, callers []record.Caller) ([]any, error) {
	var principals, namespaces []string
	for _, c := range callers {
		if c.Application == "" {
			namespaces = append(namespaces, c.Namespace)
			continue
		}
		if len(validation.IsDNS1123Subdomain(trustDomain)) > 0 {
			return nil, fmt.Errorf("trustDomain: %q is not a DNS name", trustDomain)
		}
		principals = append(principals, trustDomain+"/ns/"+c.Namespace+"/sa/"+c.Application)
	}
	var out []any
	if len(principals) > 0 {
		out = append(out, sourceOf("principals", principals))
	}
	if len(namespaces) > 0 {
		out = append(out, sourceOf("namespaces", namespaces))
	}
	return out, nil
}

func sourceOf(field string, values []string) map[string]any {
	return map[string]any{"source": map[string]any{field: values}}
}
