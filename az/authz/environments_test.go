package authz_test

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/az/authz"
	"github.com/meridian-federation/meridian/internal/record"
)

// environments are applications and what they are of. Namespace moving is on its way from one environment to the other.
var environments = map[string]string{
	"shop/web": "prod", "payments/ledger": "prod", "moving/stayed": "prod",
	"lab/web": "test", "rig/ledger": "test", "moving/gone": "test",
}

// openWorld is all these applications, each of which lets everybody in that anybody can name, with the trust domains of their
// environments.
func openWorld(trustDomain func(environment string) string) []record.Record {
	var everybody []record.Caller
	for _, name := range slices.Sorted(maps.Keys(environments)) { // callers are in order, namespaces before what is in them
		namespace, app, _ := strings.Cut(name, "/")
		everybody = append(everybody, record.Caller{Namespace: namespace}, record.Caller{Namespace: namespace, Application: app})
	}
	var out []record.Record
	for name, environment := range environments {
		namespace, app, _ := strings.Cut(name, "/")
		out = append(out, record.Policy{Namespace: namespace, Application: app, Environment: environment, TrustDomain: trustDomain(environment),
			Rules: []record.Rule{{Policy: "open", Callers: everybody}}}.Record(),
			record.Service{Namespace: namespace, Application: app, Ports: []record.Port{{Name: "http", Port: 80, TargetPort: 8080, AppProtocol: "http"}}}.Record())
	}
	return out
}

// waysToAsk are all the ways in which a proxy can say which application a request is for.
func waysToAsk(trustDomain, namespace, app string) map[string]authz.Request {
	return map[string]authz.Request{
		"the proxy's own identity": {Destination: spiffe(trustDomain, namespace, app), Port: 8080},
		"an extension":             {Port: 8080, Extensions: map[string]string{authz.ExtensionApplication: namespace + "/" + app}},
		"an extension with a port": {Extensions: map[string]string{authz.ExtensionApplication: namespace + "/" + app, authz.ExtensionPort: "80"}},
		"the host, at a gateway":   {Host: app + "." + namespace + ":80", Extensions: map[string]string{authz.ExtensionGateway: "true"}},
	}
}

// TestEnvironmentsNeverMeet checks every call between applications that let everybody in, in each way that a proxy can ask:
// exactly those inside one environment are allowed, with trust domains of their own and with one for both; and nobody
// is let in who shows the right name of the wrong trust domain.
func TestEnvironmentsNeverMeet(t *testing.T) {
	for name, trustDomain := range map[string]func(string) string{
		"trust domains of their own":    func(environment string) string { return environment + ".example" },
		"one trust domain for them all": func(string) string { return "cluster.local" },
	} {
		t.Run(name, func(t *testing.T) {
			index := authz.NewIndex(slog.New(slog.DiscardHandler))
			index.Apply(update(openWorld(trustDomain)...))
			for caller, from := range environments {
				callerNamespace, callerApp, _ := strings.Cut(caller, "/")
				for provider, to := range environments {
					namespace, app, _ := strings.Cut(provider, "/")
					for way, r := range waysToAsk(trustDomain(to), namespace, app) {
						r.Method, r.Path = "GET", "/"
						for _, shown := range []string{trustDomain(from), trustDomain(to), "elsewhere.example"} {
							r.Source = spiffe(shown, callerNamespace, callerApp)
							want := from == to && shown == trustDomain(to)
							if got := index.Check(r); got.Allowed != want {
								t.Errorf("%s of %s to %s of %s by %s: allowed is %t by %q, want %t", r.Source, from, provider, to, way, got.Allowed, got.Rule, want)
							}
						}
					}
				}
			}
		})
	}
}
