package policy_test

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/policy"
	"github.com/meridian-federation/meridian/internal/record"
)

func ledger() record.Policy {
	checkout := record.Caller{Namespace: "shop", Application: "checkout"}
	return record.Policy{
		Namespace: "payments", Application: "ledger", Environment: "prod", TrustDomain: "prod.example",
		Rules: []record.Rule{
			{Policy: "callers", Index: 0, Callers: []record.Caller{checkout}, Ports: []int32{8080}, Methods: []string{"GET", "POST"}},
			{Policy: "callers", Index: 1, Callers: []record.Caller{{Namespace: "audit"}}},
			{Policy: "health", Index: 0, Callers: []record.Caller{{Namespace: "ops"}}, Paths: []string{"/healthz", "/v1/*", "*/status"}},
			{Policy: "health", Index: 2, Callers: []record.Caller{checkout}, Ports: []int32{9090}},
		},
	}
}

func TestDecide(t *testing.T) {
	checkout := record.Caller{Namespace: "shop", Application: "checkout"}
	audit, ops := record.Caller{Namespace: "audit", Application: "x"}, record.Caller{Namespace: "ops", Application: "probe"}
	own := record.Caller{Namespace: "payments", Application: "api"}
	open, isolated, bare := ledger(), ledger(), record.Policy{Namespace: "payments", Application: "ledger"}
	isolated.IsolatedBy = []string{"strict"}
	ops2 := func(path string) policy.Call { return policy.Call{Caller: ops, Path: path} }
	for _, tc := range []struct {
		name string
		p    record.Policy
		call policy.Call
		want policy.Decision
	}{
		{"port and method of a rule", open, policy.Call{Caller: checkout, Port: 8080, Method: "POST"},
			policy.Decision{Allowed: true, Rule: "AccessPolicy payments/callers rule 1"}},
		{"a method that no rule names", open, policy.Call{Caller: checkout, Port: 8080, Method: "DELETE"},
			policy.Decision{Rule: "AccessPolicy payments/callers rule 1", Reason: "AccessPolicy payments/callers rule 1 allows methods GET, POST only"}},
		{"a port that no rule names", open, policy.Call{Caller: checkout, Port: 80},
			policy.Decision{Rule: "AccessPolicy payments/callers rule 1", Reason: "AccessPolicy payments/callers rule 1 allows ports 8080 only"}},
		{"at all: the rule with the fewest limits", open, policy.Call{Caller: checkout},
			policy.Decision{Allowed: true, Rule: "AccessPolicy payments/health rule 3 (ports 9090 only)"}},
		{"at all on one port", open, policy.Call{Caller: checkout, Port: 8080},
			policy.Decision{Allowed: true, Rule: "AccessPolicy payments/callers rule 1 (methods GET, POST only)"}},
		{"methods on a port without HTTP", open, policy.Call{Caller: checkout, Port: 8080, Opaque: true},
			policy.Decision{Rule: "AccessPolicy payments/callers rule 1",
				Reason: "AccessPolicy payments/callers rule 1 names methods or paths, and the port does not speak HTTP"}},
		{"a whole namespace", open, policy.Call{Caller: audit, Port: 1, Method: "PUT", Path: "/any"},
			policy.Decision{Allowed: true, Rule: "AccessPolicy payments/callers rule 2"}},
		{"another of a namespace of which one may", open, policy.Call{Caller: record.Caller{Namespace: "shop", Application: "cart"}},
			policy.Decision{Reason: "no AccessPolicy of namespace payments allows shop/cart to call ledger"}},
		{"an unnamed one of a namespace of which one may", open, policy.Call{Caller: record.Caller{Namespace: "shop"}},
			policy.Decision{Reason: "no AccessPolicy of namespace payments allows namespace shop to call ledger"}},
		{"nobody", open, policy.Call{}, policy.Decision{Reason: "no AccessPolicy of namespace payments allows an unknown caller to call ledger"}},
		{"inside", open, policy.Call{Caller: own, Method: "PUT"},
			policy.Decision{Allowed: true, Rule: "calls inside namespace payments are allowed"}},
		{"inside, without policies", bare, policy.Call{Caller: own},
			policy.Decision{Allowed: true, Rule: "calls inside namespace payments are allowed"}},
		{"from outside, without policies", bare, policy.Call{Caller: checkout},
			policy.Decision{Reason: "no AccessPolicy of namespace payments allows shop/checkout to call ledger"}},
		{"inside, isolated", isolated, policy.Call{Caller: own},
			policy.Decision{Rule: "AccessPolicy payments/strict (sameNamespace Deny)",
				Reason: "AccessPolicy payments/strict takes away calls inside namespace payments, and no rule allows payments/api"}},
		{"path exact", open, ops2("/healthz"), policy.Decision{Allowed: true, Rule: "AccessPolicy payments/health rule 1"}},
		{"path with a query", open, ops2("/healthz?x=/../"), policy.Decision{Allowed: true, Rule: "AccessPolicy payments/health rule 1"}},
		{"path at all", open, ops2(""), policy.Decision{Allowed: true, Rule: "AccessPolicy payments/health rule 1 (paths /healthz, /v1/*, */status only)"}},
		{"path that climbs out", open, ops2("/v1/../admin"), policy.Decision{Rule: "AccessPolicy payments/health rule 1",
			Reason: "AccessPolicy payments/health rule 1 allows paths /healthz, /v1/*, */status only"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := policy.Decide(tc.p, tc.call); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v1/pay", "/v1/pay", true},
		{"/v1/pay", "/v1/pay/", false},
		{"/v1/pay", "/v1/pay#x", true},
		{"/v1/*", "/v1/", true},
		{"/v1/*", "/v1", false},
		{"/v1*", "/v10", true},
		{"/*", "/", true},
		{"*/health", "/a/health", true},
		{"*/health", "/healthy", false},
		{"/v1/*", "/v1//x", false},
		{"/v1/*", "/v1/./x", false},
		{"/v1/*", "/v1/..", false},
		{"/v1/*", "/v1/%2E%2e/x", false},
		{"/v1/*", "/v1/a%2fb", false},
		{"/v1/*", `/v1/..\x`, false},
		{"/v1/*", "/v1/100%", false},
		{"/v1/*", "/v1/100%25", true},
		{"/v1/*", "v1/x", false},
		{"/v1/*", "/v1/...", true},
	} {
		p := record.Policy{Namespace: "b", Application: "y", Rules: []record.Rule{
			{Policy: "p", Callers: []record.Caller{{Namespace: "a"}}, Paths: []string{tc.pattern}}}}
		if got := policy.Decide(p, policy.Call{Caller: record.Caller{Namespace: "a"}, Path: tc.path}).Allowed; got != tc.want {
			t.Errorf("%s by %s: got %t, want %t", tc.path, tc.pattern, got, tc.want)
		}
	}
}
