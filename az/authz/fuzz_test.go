package authz

import (
	"log/slog"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// FuzzCheck holds that no question of a proxy's breaks the service, and that one about nothing that is known is denied.
func FuzzCheck(f *testing.F) {
	whole := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "spiffe://prod.example/ns/shop/sa/web"},
		Destination: &authv3.AttributeContext_Peer{Principal: "spiffe://prod.example/ns/n/sa/cart", Address: &corev3.Address{
			Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8080}}}}},
		Request:           &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Host: "cart.n", Method: "GET", Path: "/a?b"}},
		ContextExtensions: map[string]string{"gateway": "true"}}}
	for _, m := range []*authv3.CheckRequest{{}, whole} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	service := NewService(NewIndex(slog.New(slog.DiscardHandler)), NewMetrics(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in authv3.CheckRequest
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		out, err := service.Check(t.Context(), &in)
		if err != nil || out.GetDeniedResponse() == nil {
			t.Errorf("got %v, %v; want it denied", out, err)
		}
	})
}

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
