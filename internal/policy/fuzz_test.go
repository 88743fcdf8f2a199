package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/policy"
	"github.com/meridian-federation/meridian/internal/record"
)

// FuzzDecide holds what must be true of any decision: an allowed call has a rule and no reason, a refused one has a
// reason; naming more of a call never allows what was refused; MayCall is Decide of a call that names nothing.
func FuzzDecide(f *testing.F) {
	f.Add("shop", "checkout", int32(8080), "POST", "/v1/pay", "GET,POST", "/v1/*,*/x", int32(8080), true, false)
	f.Add("payments", "", int32(0), "", "/../", "", "/*", int32(0), false, true)
	f.Fuzz(func(t *testing.T, ns, app string, port int32, method, path, methods, paths string, rulePort int32, whole, isolated bool) {
		rule := record.Rule{Policy: "p", Callers: []record.Caller{{Namespace: "shop", Application: "checkout"}}}
		if whole {
			rule.Callers[0].Application = ""
		}
		if rulePort != 0 {
			rule.Ports = []int32{rulePort}
		}
		if methods != "" {
			rule.Methods = strings.Split(methods, ",")
		}
		if paths != "" {
			rule.Paths = strings.Split(paths, ",")
		}
		p := record.Policy{Namespace: "payments", Application: "ledger", Rules: []record.Rule{rule}}
		if isolated {
			p.IsolatedBy = []string{"strict"}
		}
		call := policy.Call{Caller: record.Caller{Namespace: ns, Application: app}, Port: port, Method: method, Path: path}
		got := policy.Decide(p, call)
		if got.Allowed != (got.Reason == "") || got.Allowed && got.Rule == "" {
			t.Errorf("%+v: an odd decision %+v", call, got)
		}
		atAll := policy.Decide(p, policy.Call{Caller: call.Caller})
		if got.Allowed && !atAll.Allowed {
			t.Errorf("%+v: allowed, and not at all: %+v", call, atAll)
		}
		if may := policy.MayCall(p, call.Caller); may != atAll.Allowed {
			t.Errorf("%+v: MayCall %t, Decide %+v", call, may, atAll)
		}
	})
}

// TestManyCallers finds each of many callers of a rule, and nobody between them.
func TestManyCallers(t *testing.T) {
	var rule record.Rule
	for i := range 500 {
		caller := record.Caller{Namespace: fmt.Sprintf("n%03d", i)}
		if i%2 == 0 {
			caller.Application = "app"
		}
		rule.Callers = append(rule.Callers, caller)
	}
	p := record.Policy{Namespace: "payments", Application: "ledger", Rules: []record.Rule{rule}}
	for i := range 500 {
		namespace := fmt.Sprintf("n%03d", i)
		for app, want := range map[string]bool{"app": true, "web": i%2 == 1, "": i%2 == 1} {
			if got := policy.MayCall(p, record.Caller{Namespace: namespace, Application: app}); got != want {
				t.Errorf("%s/%s: got %t, want %t", namespace, app, got, want)
			}
		}
		if policy.MayCall(p, record.Caller{Namespace: namespace + "x", Application: "app"}) {
			t.Errorf("%sx may call", namespace)
		}
	}
}

// TestMayCallAllocates holds that the planner can ask of every edge of a large graph.
func TestMayCallAllocates(t *testing.T) {
	p, caller := ledger(), record.Caller{Namespace: "shop", Application: "checkout"}
	if n := testing.AllocsPerRun(100, func() { policy.MayCall(p, caller) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
