package authz_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/az/authz"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// update is the change that puts records.
func update(records ...record.Record) store.Update {
	var u store.Update
	for _, r := range records {
		u.Changes = append(u.Changes, store.Change{Key: r.Key, New: &store.Entry{Record: r}})
	}
	return u
}

func policyOf(namespace, app, environment string, rules ...record.Rule) record.Record {
	return record.Policy{Namespace: namespace, Application: app, Environment: environment, TrustDomain: environment + ".example",
		Rules: rules}.Record()
}

// shop is checkout in shop, ledger and open in payments, and dark, which is in another environment.
func shop() []record.Record {
	checkout := []record.Caller{{Namespace: "shop", Application: "checkout"}}
	return []record.Record{
		policyOf("shop", "checkout", "prod"),
		policyOf("payments", "ledger", "prod",
			record.Rule{Policy: "callers", Callers: checkout, Ports: []int32{80}, Methods: []string{"POST"}, Paths: []string{"/v1/*"}},
			record.Rule{Policy: "callers", Index: 1, Callers: checkout, Ports: []int32{9090}}),
		policyOf("payments", "open", "prod", record.Rule{Policy: "open", Callers: []record.Caller{{Namespace: "shop"}}}),
		policyOf("dark", "side", "prod"),
		policyOf("lab", "rat", "lab"),
		record.Service{Namespace: "payments", Application: "ledger", Ports: []record.Port{{Name: "http", Port: 80, TargetPort: 8080, AppProtocol: "http"},
			{Name: "admin", Port: 8081, TargetPort: 8081}, {Name: "raw", Port: 9090, TargetPort: 9090, AppProtocol: "tcp"}}}.Record(),
		record.Service{Namespace: "payments", Application: "open", Ports: []record.Port{{Port: 80, TargetPort: 8080}, {Port: 53, TargetPort: 53, Protocol: "UDP"}}}.Record(),
	}
}

func spiffe(trustDomain, namespace, app string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", trustDomain, namespace, app)
}

var (
	checkout = spiffe("prod.example", "shop", "checkout")
	ledger   = spiffe("prod.example", "payments", "ledger")
	gateway  = spiffe("prod.example", "istio-system", "ingress")
)

type checkCase struct {
	name    string
	request authz.Request
	// want is the rule that allows the request, or, after "no:", a part of the reason.
	want string
}

func checkCases() []checkCase {
	post := func(r authz.Request) authz.Request {
		r.Method, r.Path = "POST", "/v1/pay?x=1"
		return r
	}
	const rule1, rule2, open = "AccessPolicy payments/callers rule 1", "AccessPolicy payments/callers rule 2", "AccessPolicy payments/open rule 1"
	app, port, gw := authz.ExtensionApplication, authz.ExtensionPort, authz.ExtensionGateway
	extended := func(r authz.Request, pairs ...string) authz.Request {
		r.Extensions = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			r.Extensions[pairs[i]] = pairs[i+1]
		}
		return r
	}
	byHost := func(host string) authz.Request {
		return extended(post(authz.Request{Source: checkout, Host: host}), gw, "true")
	}
	return []checkCase{
		{"by the sidecar's own identity and target port", post(authz.Request{Source: checkout, Destination: ledger, Port: 8080}), rule1},
		{"TCP", authz.Request{Source: checkout, Destination: ledger, Port: 9090}, rule2},
		{"TCP where the rule names methods", authz.Request{Source: checkout, Destination: ledger, Port: 8080}, "no:does not speak HTTP"},
		{"half of HTTP", authz.Request{Source: checkout, Destination: ledger, Port: 8080, Method: "POST"}, "no:does not speak HTTP"},
		{"another path", authz.Request{Source: checkout, Destination: ledger, Port: 8080, Method: "POST", Path: "/admin"}, "no:allows paths"},
		{"a path that climbs out", authz.Request{Source: checkout, Destination: ledger, Port: 8080, Method: "POST", Path: "/v1/../admin"}, "no:allows paths"},
		{"another target port", post(authz.Request{Source: checkout, Destination: ledger, Port: 8081}), "no:allows ports"},
		{"a port of nobody's", post(authz.Request{Source: checkout, Destination: ledger, Port: 1}), "no:port 1 is none of application payments/ledger"},
		{"a Host that lies to a sidecar", post(authz.Request{Source: checkout, Destination: spiffe("prod.example", "dark", "side"), Port: 8080, Host: "open.payments"}), "no:port 8080 is none of application dark/side"},
		{"a Host's port that lies to a sidecar", post(authz.Request{Source: checkout, Destination: ledger, Port: 8081, Host: "ledger.payments:80"}), "no:allows ports"},
		{"a sidecar whose application is not known here", post(authz.Request{Source: checkout, Destination: spiffe("prod.example", "x", "y"), Host: "open.payments"}), "no:application x/y is not known here"},
		{"by host and port", byHost("Ledger.payments.svc.cluster.local:80"), rule1},
		{"by host at a gateway of the mesh's", extended(post(authz.Request{Source: checkout, Destination: gateway, Host: "ledger.payments.svc:80"}), gw, "true"), rule1},
		{"at a gateway that does not say so", post(authz.Request{Source: checkout, Destination: gateway, Host: "ledger.payments:80"}), "no:istio-system/ingress is not known here"},
		{"a host without port: all must be allowed", byHost("ledger.payments"), "no:allows ports"},
		{"a host without port: all are", byHost("open.payments."), open},
		{"a host of another domain", byHost("ledger.payments.example.com"), "no:names no application"},
		{"a host with a sign that folds to a letter", byHost("open.payment\u017f"), "no:names no application"},
		{"a host and a port that is no number", byHost("ledger.payments:x"), "no:names no application"},
		{"a host's UDP port", byHost("open.payments:53"), "no:port 53 is none of"},
		{"a gateway and no host", byHost(""), "no:names no application"},
		{"a host, and nobody who says that this is a gateway", post(authz.Request{Source: checkout, Host: "open.payments"}), "no:says neither by meridian.dev/application"},
		{"a host, and a proxy of another mesh", post(authz.Request{Source: checkout, Destination: "spiffe://else/proxy", Host: "open.payments:80"}), "no:nor by meridian.dev/gateway that it is a gateway"},
		{"a host, and a gateway that is not true", extended(post(authz.Request{Source: checkout, Host: "open.payments"}), gw, "yes"), "no:says neither"},
		{"no host and no identity", post(authz.Request{Source: checkout, Port: 8080}), "no:says neither"},
		{"by extensions", extended(post(authz.Request{Source: checkout, Host: "open.payments", Port: 15443}), app, "payments/ledger", port, "80"), rule1},
		{"by extensions, and where it arrived", extended(post(authz.Request{Source: checkout, Port: 8080}), app, "payments/ledger"), rule1},
		{"an extension that is no application", extended(post(authz.Request{Source: checkout}), app, "ledger"), "no:is not NAMESPACE/APPLICATION"},
		{"an extension that is no port", extended(post(authz.Request{Source: checkout}), app, "payments/ledger", port, "http"), "no:is no port"},
		{"nobody", post(authz.Request{Destination: ledger, Port: 8080}), "no:has no identity of the mesh"},
		{"a caller with odd identity", post(authz.Request{Source: "spiffe://prod.example/ns/shop/sa/checkout/x", Destination: ledger, Port: 8080}), "no:has no identity"},
		{"another trust domain", post(authz.Request{Source: spiffe("lab.example", "shop", "checkout"), Destination: ledger, Port: 8080}), "no:is not of trust domain"},
		{"another environment of the same trust domain", post(authz.Request{Source: spiffe("prod.example", "lab", "rat"), Destination: ledger, Port: 8080}), "no:is of environment lab"},
		{"inside the namespace", authz.Request{Source: spiffe("prod.example", "payments", "web"), Destination: ledger, Port: 8081}, "calls inside namespace payments are allowed"},
		{"another caller", post(authz.Request{Source: spiffe("prod.example", "shop", "cart"), Destination: ledger, Port: 8080}), "no:no AccessPolicy of namespace payments allows shop/cart"},
	}
}

func TestCheck(t *testing.T) {
	index := authz.NewIndex(slog.New(slog.DiscardHandler))
	index.Apply(update(shop()...))
	for _, tc := range checkCases() {
		t.Run(tc.name, func(t *testing.T) {
			got := index.Check(tc.request)
			reason, no := strings.CutPrefix(tc.want, "no:")
			switch {
			case no && (got.Allowed || !strings.Contains(got.Reason, reason)):
				t.Errorf("got %+v, want it refused: %s", got, reason)
			case !no && (!got.Allowed || got.Rule != tc.want):
				t.Errorf("got %+v, want it allowed by %s", got, tc.want)
			}
		})
	}
}

// TestIndexFollows has records come, change and go.
func TestIndexFollows(t *testing.T) {
	var logged bytes.Buffer
	index := authz.NewIndex(slog.New(slog.NewTextHandler(&logged, nil)))
	request := authz.Request{Source: checkout, Destination: ledger, Port: 9090}
	want := func(when string, allowed bool) {
		t.Helper()
		if got := index.Check(request); got.Allowed != allowed {
			t.Errorf("%s: got %+v, want allowed %t", when, got, allowed)
		}
	}
	want("empty", false)
	records := shop()
	index.Apply(update(records...))
	want("with all", true)
	index.Apply(update(policyOf("payments", "ledger", "prod")))
	want("with a policy of no rules", false)
	index.Apply(update(records...))
	want("with the rules again", true)
	key := record.PolicyKey("payments", "ledger")
	broken := record.New(key, []byte("\xff"))
	index.Apply(update(broken))
	want("with a policy that cannot be read", false)
	index.Apply(update(records...))
	index.Apply(store.Update{Delta: store.Delta{Changes: []store.Change{{Key: key}}}})
	want("without the policy", false)
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "record="+key.String()) {
		t.Errorf("logged is %q, want one line about %s", got, key)
	}
}

// BenchmarkCheck is one decision among 10,000 applications of 20 rules each.
func BenchmarkCheck(b *testing.B) {
	index := authz.NewIndex(slog.New(slog.DiscardHandler))
	var records []record.Record
	for i := range 10000 {
		var rules []record.Rule
		for j := range 20 {
			rules = append(rules, record.Rule{Policy: "callers", Index: int32(j), Ports: []int32{80}, Methods: []string{"GET", "POST"},
				Callers: []record.Caller{{Namespace: fmt.Sprint("n", j), Application: "caller"}}})
		}
		app := fmt.Sprint("a", i)
		records = append(records, policyOf("shop", app, "prod", rules...),
			record.Service{Namespace: "shop", Application: app, Ports: []record.Port{{Port: 80, TargetPort: 8080}}}.Record())
	}
	index.Apply(update(records...))
	request := authz.Request{Source: spiffe("prod.example", "n19", "caller"), Destination: spiffe("prod.example", "shop", "a5000"),
		Port: 8080, Method: "POST", Path: "/v1/pay"}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !index.Check(request).Allowed {
				b.Fatal("refused")
			}
		}
	})
}
