package permission_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/permission"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// environments are applications and what they are of. Namespace moving is on its way from one environment to the other, and
// twin has a namesake's name.
var environments = map[string]string{
	"shop/web": "prod", "shop/twin": "prod", "payments/ledger": "prod", "moving/stayed": "prod",
	"lab/web": "test", "lab/twin": "test", "rig/ledger": "test", "moving/gone": "test",
}

// openWorld is all these applications, each of which lets everybody in that anybody can name.
func openWorld() []record.Record {
	var everybody []record.Caller
	for _, name := range slices.Sorted(maps.Keys(environments)) { // callers are in order, namespaces before what is in them
		namespace, app, _ := strings.Cut(name, "/")
		everybody = append(everybody, record.Caller{Namespace: namespace}, record.Caller{Namespace: namespace, Application: app})
	}
	var out []record.Record
	for name, environment := range environments {
		namespace, app, _ := strings.Cut(name, "/")
		out = append(out, record.Policy{Namespace: namespace, Application: app, Environment: environment, TrustDomain: "cluster.local",
			Rules: []record.Rule{{Policy: "open", Callers: everybody}}}.Record(),
			record.Service{Namespace: namespace, Application: app, Ports: []record.Port{{Name: "http", Port: 8080}, {Port: 6379, AppProtocol: "redis"}}}.Record())
	}
	return out
}

// TestEnvironmentsNeverMeet asks about every call between applications that let everybody in: exactly those inside one
// environment are allowed, at Global as at a zone that knows both.
func TestEnvironmentsNeverMeet(t *testing.T) {
	records := snapshot(t, openWorld()...)
	for caller, from := range environments {
		for provider, to := range environments {
			for _, r := range []question.CanIRequest{{}, {Port: 8080}, {Port: 6379}, {Port: 8080, Method: "GET", Path: "/"}} {
				r.Caller, r.Provider = app(caller), app(provider)
				for _, at := range []question.Path{{}, {Region: "west", Zone: "a"}} {
					r.Target = at
					got, err := permission.Answer(records, at, r)
					if err != nil {
						t.Fatalf("%s to %s at %s: %v", caller, provider, at, err)
					}
					if got.Allowed != (from == to) {
						t.Errorf("%s of %s to %s of %s, port %d, at %s: allowed is %t by %q", caller, from, provider, to, r.Port, at, got.Allowed, got.Rule)
					}
					if why := fmt.Sprintf("is of environment %s and %s of %s", from, provider, to); from != to && !strings.Contains(got.Reason, why) {
						t.Errorf("%s to %s at %s: the reason is %q, want it to say that it %s", caller, provider, at, got.Reason, why)
					}
				}
			}
		}
	}
}
