package cli_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
)

// calls are shop/checkout, which declares ledger, the latter with a policy, and an application of another environment.
const calls = `
apiVersion: meridian.dev/v1alpha1
kind: AccessPolicy
metadata: {namespace: payments, name: ledger-callers}
spec:
  applications: [ledger]
  rules:
  - {from: [{namespace: shop, application: checkout}], ports: [8080], methods: [GET, POST]}
---
apiVersion: meridian.dev/v1alpha1
kind: Application
metadata: {namespace: payments, name: ledger}
spec:
  template: {spec: {containers: [{name: main, image: 'ledger:1'}]}}
  ports: [{name: http, port: 8080, appProtocol: http}, {name: admin, port: 9090}]
---
apiVersion: meridian.dev/v1alpha1
kind: Application
metadata: {namespace: shop, name: checkout}
spec:
  template: {spec: {containers: [{name: main, image: 'checkout:1'}]}}
  ports: [{name: http, port: 80}]
  dependsOn: [{namespace: payments, name: ledger}]
---
apiVersion: meridian.dev/v1alpha1
kind: Application
metadata: {namespace: trial, name: probe}
spec:
  template: {spec: {containers: [{name: main, image: 'probe:1'}]}}
  ports: [{name: http, port: 80}]
`

// TestCanI asks all tiers of a real tree.
func TestCanI(t *testing.T) {
	tr := startTree(t)
	tr.ok(calls, "apply", "-f", "-")
	ask := func(more ...string) []string {
		return append([]string{"policy", "can-i", "shop/checkout", "payments/ledger"}, more...)
	}
	tr.await("it is resolved", ask()...)
	wantParts(t, "the policy", tr.ok("", "get", "accesspolicies", "-n", "payments"), "ACCEPTED", "APPLICATIONS", "ledger-callers")
	wantParts(t, "by its short name", tr.ok("", "get", "mpolicy", "ledger-callers", "-n", "payments", "-o", "yaml"), "kind: AccessPolicy")
	tr.await("yes:", ask("--at", "region/west/zone/west-a")...)
	tr.await("of environment lab", "policy", "can-i", "trial/probe", "shop/checkout")

	const declared = "dependency: shop/checkout declares it, and it is resolved\n"
	for _, at := range []string{"global", "region/west", "region/west/zone/west-a"} {
		wantEqual(t, "can-i at "+at, tr.ok("", ask("--port", "8080", "--method", "post", "--at", at)...),
			"yes: AccessPolicy payments/ledger-callers rule 1\n"+declared)
	}
	wantEqual(t, "any call", tr.ok("", ask()...), "yes: AccessPolicy payments/ledger-callers rule 1 (ports 8080; methods GET, POST only)\n"+declared)
	wantEqual(t, "inside", tr.ok("", "policy", "can-i", "checkout", "checkout", "-n", "shop"),
		"yes: calls inside namespace shop are allowed\ndependency: an application need not declare itself\n")
	var verdict question.Verdict
	if err := json.Unmarshal([]byte(tr.ok("", ask("-o", "json")...)), &verdict); err != nil || !verdict.Allowed {
		t.Errorf("as JSON: got %+v, %v", verdict, err)
	}

	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"another method", ask("--method", "DELETE"), "no: AccessPolicy payments/ledger-callers rule 1 allows methods GET, POST only\n" + declared},
		{"another port", ask("--port", "9090"), "no: AccessPolicy payments/ledger-callers rule 1 allows ports 8080 only\n" + declared},
		{"another direction", []string{"policy", "can-i", "payments/ledger", "shop/checkout"},
			"no: no AccessPolicy of namespace shop allows payments/ledger to call checkout\ndependency: payments/ledger does not declare it in spec.dependsOn, so its proxies do not know shop/checkout\n"},
		{"another environment", []string{"policy", "can-i", "trial/probe", "shop/checkout"}, "no: trial/probe is of environment lab and shop/checkout of prod: " +
			"applications of different environments never call each other\ndependency: trial/probe does not declare it in spec.dependsOn, so its proxies do not know shop/checkout\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := tr.run("", tt.args...)
			wantEqual(t, "output", r.out, tt.want)
			if !errors.Is(r.failed, run.ErrTold) {
				t.Errorf("got %v, want an error that was told", r.failed)
			}
		})
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown application", []string{"policy", "can-i", "shop/checkout", "payments/nothing"}, "application payments/nothing does not exist, is not accepted, or is placed nowhere"},
		{"an unknown caller", []string{"policy", "can-i", "shop/nothing", "payments/ledger"}, "application shop/nothing does not exist"},
		{"no such port", ask("--port", "1"), "application payments/ledger has no port 1; it has 8080 http, 9090 admin"},
		{"not known at the zone", []string{"policy", "can-i", "shop/checkout", "trial/probe", "--at", "region/west/zone/west-a"},
			"application trial/probe is not known at region/west/zone/west-a; ask with --at one of: global, region/west, region/west/zone/west-b"},
		{"a zone that is away", ask("--at", "region/west/zone/west-b"), "region/west/zone/west-b: not connected"},
		{"not known at all", []string{"policy", "can-i", "shop/checkout", "payments/nothing", "--at", "region/west"},
			"application payments/nothing is not known at region/west, nor by Global"},
		{"no such region", ask("--at", "region/north"), "there is no region north"},
		{"no such zone", ask("--at", "region/west/zone/b"), "zone b is not in region west"},
		{"a cluster", ask("--at", "region/west/zone/west-a/cluster/a1"), "ask region/west/zone/west-a"},
		{"no path", ask("--path", "v1"), `path "v1" does not begin with a slash`},
		{"one name", []string{"policy", "can-i", "shop/checkout"}, "accepts 2 arg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := tr.run("", tt.args...)
			if r.failed == nil || !strings.Contains(r.failed.Error(), tt.want) || r.out != "" {
				t.Errorf("got %q, %v; want %q", r.out, r.failed, tt.want)
			}
		})
	}
}
