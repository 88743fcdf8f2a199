package authz_test

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meridian-federation/meridian/az/authz"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// operation and source are what the AuthorizationPolicies that Meridian writes hold.
type (
	operation struct{ Ports, Methods, Paths []string }
	source    struct{ Principals []string }
	istioRule struct {
		From []struct{ Source source }
		To   []struct{ Operation operation }
	}
)

// istio decides a request as Istio documents AuthorizationPolicy: in a rule, any source and any operation, of which every
// field that is given must match; what is not HTTP matches none that names methods or paths.
func istio(rules []istioRule, r authz.Request) bool {
	principal := strings.TrimPrefix(r.Source, "spiffe://")
	has := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return slices.ContainsFunc(rules, func(rule istioRule) bool {
		from := slices.ContainsFunc(rule.From, func(f struct{ Source source }) bool {
			return len(f.Source.Principals) == 0 || matches(f.Source.Principals, principal)
		})
		to := len(rule.To) == 0 || slices.ContainsFunc(rule.To, func(t struct{ Operation operation }) bool {
			o := t.Operation
			if r.Method == "" && len(o.Methods)+len(o.Paths) > 0 {
				return false
			}
			return has(o.Ports, strconv.Itoa(int(r.Port))) && has(o.Methods, r.Method) &&
				(len(o.Paths) == 0 || matches(o.Paths, r.Path))
		})
		return from && to
	})
}

// matches tells whether a value is one of those listed, of which each may be a prefix or a suffix.
func matches(patterns []string, value string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		switch {
		case strings.HasSuffix(pattern, "*"):
			return strings.HasPrefix(value, pattern[:len(pattern)-1])
		case strings.HasPrefix(pattern, "*"):
			return strings.HasSuffix(value, pattern[1:])
		}
		return value == pattern
	})
}

const ledgerSpec = `{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":"ledger:1"}]}},"placement":{"mode":"Divided"},
"ports":[{"name":"http","port":80,"targetPort":8080,"protocol":"TCP","appProtocol":"http"},{"name":"alias","port":81,"targetPort":8080,"protocol":"TCP"},
{"name":"raw","port":90,"targetPort":9090,"protocol":"TCP","appProtocol":"tcp"},{"name":"any","port":91,"targetPort":9191,"protocol":"TCP"}]}`

// TestAgreesWithIstio draws policies and requests, and holds that a zone's answer is that of the AuthorizationPolicy which
// is compiled from the same record.
func TestAgreesWithIstio(t *testing.T) {
	spec, err := mesh.Decode(record.Revision{Namespace: "payments", Application: "ledger", Environment: "prod", Spec: []byte(ledgerSpec)})
	if err != nil {
		t.Fatal(err)
	}
	service := record.Service{Namespace: "payments", Application: "ledger", Ports: []record.Port{
		{Name: "http", Port: 80, TargetPort: 8080, Protocol: "TCP", AppProtocol: "http"}, {Name: "alias", Port: 81, TargetPort: 8080, Protocol: "TCP"},
		{Name: "raw", Port: 90, TargetPort: 9090, Protocol: "TCP", AppProtocol: "tcp"}, {Name: "any", Port: 91, TargetPort: 9191, Protocol: "TCP"}}}.Record()
	allowed := 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		objects, err := mesh.Config(mesh.ConfigInput{Cluster: record.Cluster{Name: "a1", Region: "west", Zone: "a", Environments: []string{"prod"},
			Mesh: record.Mesh{Dataplane: "Sidecar", RootNamespace: "istio-system"}}, Spec: spec, Generation: mesh.Generation, Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		var compiled struct{ Spec struct{ Rules []istioRule } }
		i := slices.IndexFunc(objects, func(o mesh.Object) bool { return o.ID.Kind == "AuthorizationPolicy" })
		if err := json.Unmarshal(objects[i].Record.Content, &compiled); err != nil {
			t.Fatal(err)
		}
		index := authz.NewIndex(slog.New(slog.DiscardHandler))
		index.Apply(update(p.Record(), service))
		for range 20 {
			r := drawRequest(t)
			got, want := index.Check(r), istio(compiled.Spec.Rules, r)
			if got.Allowed != want {
				t.Fatalf("%+v by %+v: got %+v, and Istio says %t by %s", r, p, got, want, objects[i].Record.Content)
			}
			if want {
				allowed++
			}
		}
	})
	if allowed == 0 {
		t.Error("no request was allowed")
	}
}

func drawPolicy(t *rapid.T) record.Policy {
	some := func(name string, of ...string) []string {
		return slices.DeleteFunc(of, func(s string) bool { return !rapid.Bool().Draw(t, name+" "+s) })
	}
	p := record.Policy{Namespace: "payments", Application: "ledger", Environment: "prod", TrustDomain: "prod.example"}
	if rapid.Bool().Draw(t, "isolated") {
		p.IsolatedBy = []string{"strict"}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
		rule := record.Rule{Policy: "p", Index: int32(i), Methods: some("method", "GET", "POST"), Paths: some("path", "/a", "/a/*", "*/z")}
		for _, port := range some("port", "80", "81", "90", "91") {
			n, _ := strconv.Atoi(port)
			rule.Ports = append(rule.Ports, int32(n))
		}
		for _, c := range some("caller", "payments/web", "shop/", "shop/cart", "tax/cart") {
			namespace, app, _ := strings.Cut(c, "/")
			rule.Callers = append(rule.Callers, record.Caller{Namespace: namespace, Application: app})
		}
		if len(rule.Callers) > 0 {
			p.Rules = append(p.Rules, rule)
		}
	}
	return p
}

// drawRequest draws what a sidecar of ledger's sees. What arrives at a port that says it is TCP is never HTTP.
func drawRequest(t *rapid.T) authz.Request {
	r := authz.Request{Destination: ledger, Port: rapid.SampledFrom([]uint32{8080, 9090, 9191}).Draw(t, "port")}
	caller := rapid.SampledFrom([][2]string{{"payments", "web"}, {"payments", "api"}, {"shop", "cart"}, {"shop", "web"}, {"tax", "cart"}, {"tax", "web"}}).Draw(t, "caller")
	r.Source = spiffe("prod.example", caller[0], caller[1])
	if r.Port != 9090 && rapid.Bool().Draw(t, "HTTP") {
		r.Method = rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method")
		r.Path = rapid.SampledFrom([]string{"/a", "/a/", "/a/z", "/b/z", "/b", "/"}).Draw(t, "path")
	}
	return r
}
