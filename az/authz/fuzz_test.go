package authz

import (
	"strings"
	"testing"
)

// FuzzIdentity holds that what is read of a principal is all of it.
func FuzzIdentity(f *testing.F) {
	for _, s := range []string{"spiffe://prod.example/ns/shop/sa/checkout", "spiffe:///ns/a/sa/b", "spiffe://x/ns/a/sa/b/sa/c", "spiffe://x/ns/y/ns/z/sa/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseIdentity(s)
		if !ok {
			return
		}
		if again := "spiffe://" + id.trustDomain + "/ns/" + id.app.namespace + "/sa/" + id.app.application; again != s {
			t.Errorf("%q was read as %q", s, again)
		}
		if strings.Contains(id.trustDomain, "/") {
			t.Errorf("%q has trust domain %q", s, id.trustDomain)
		}
	})
}

// FuzzHost holds that a host names labels alone, and is one of the forms that Kubernetes gives to the service.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"ledger.payments", "ledger.payments.svc:80", "Ledger.Payments.svc.cluster.local.:8080", "[::1]:80", "a.b.c", "svc.cluster.local", ":80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		app, port, ok := parseHost(s)
		if !ok {
			return
		}
		if !label(app.namespace) || !label(app.application) || port < 0 || port > 65535 {
			t.Errorf("%q was read as %+v, port %d", s, app, port)
		}
		if short := app.application + "." + app.namespace; !strings.EqualFold(s[:min(len(s), len(short))], short) {
			t.Errorf("%q was read as %s", s, short)
		}
	})
}
