package az_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// TestAuthorization asks a zone as a proxy does, while policies come from the region and when the region is gone.
func TestAuthorization(t *testing.T) {
	parent := tiertest.NewParent(t, "region/west")
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	cfg := az.Config{ID: "zone-0", Region: "west", Zone: "a", Parent: []string{parent.Address}, Settle: 300 * time.Millisecond}
	cfg.Default()
	proxies := listen()
	zone := az.New(cfg, az.Deps{Store: mem.New(), Listener: listen(), Authorization: proxies, Log: slog.New(slog.DiscardHandler),
		Identity: tiertest.Source(t, "region/west/zone/a")})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- zone.Run(ctx) }()
	conn, err := grpc.NewClient(proxies.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the zone: %v", err)
		}
	})
	client := authv3.NewAuthorizationClient(conn)
	check := func() codes.Code {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		answer, err := client.Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: &authv3.AttributeContext_Peer{Principal: "spiffe://prod.example/ns/shop/sa/web"},
			Destination: &authv3.AttributeContext_Peer{Principal: "spiffe://prod.example/ns/n/sa/cart", Address: &corev3.Address{
				Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8080}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return codes.Code(answer.GetStatus().GetCode())
	}
	if got := check(); got != codes.PermissionDenied {
		t.Errorf("without a policy: got %s, want %s", got, codes.PermissionDenied)
	}
	policy := record.Policy{Namespace: "n", Application: "cart", Environment: "prod", TrustDomain: "prod.example", Rules: []record.Rule{
		{Policy: "shop", Callers: []record.Caller{{Namespace: "shop"}}, Ports: []int32{80}}}}.Record()
	parent.Put(record.Service{Namespace: "n", Application: "cart", Ports: []record.Port{{Port: 80, TargetPort: 8080}}}.Record(), policy)
	tiertest.Await(t, "the call is allowed", func() bool { return check() == codes.OK })
	parent.Edit(feed.Remove(policy.Key, record.CausePerson))
	tiertest.Await(t, "the call is refused again", func() bool { return check() == codes.PermissionDenied })
	parent.Put(policy)
	tiertest.Await(t, "the call is allowed again", func() bool { return check() == codes.OK })
	parent.Stop()
	if got := check(); got != codes.OK {
		t.Errorf("without a region: got %s, want %s", got, codes.OK)
	}
}

// elsewhere is a listener that says that it is on another address than loopback.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7422} }

// proxyFiles are the files of a proxy's certificate, and of the authority that it is from.
func proxyFiles(t *testing.T) certfile.Files {
	t.Helper()
	dir := t.TempDir()
	f := certfile.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
	authority, err := certfile.NewAuthority("mesh", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(authority.Write(f.CA), authority.Issue("proxy", f.Cert, f.Key)); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAuthorizationElsewhere holds that proxies on other hosts are answered over TLS by the zone's certificate, if theirs is
// of the authority that is configured, and that nobody else is.
func TestAuthorizationElsewhere(t *testing.T) {
	proxy, other := proxyFiles(t), proxyFiles(t)
	source := tiertest.Source(t, "region/west/zone/a")
	address := authorizationElsewhere(t, source, proxy.CA)
	visitor := func(f *certfile.Files) credentials.TransportCredentials {
		cfg := identity.VisitorTLS(source.TrustDomain(), source.Roots(), question.Path{Region: "west", Zone: "a"})
		if f != nil {
			pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
			if err != nil {
				t.Fatal(err)
			}
			// Shown to whoever asks, whatever authorities it says that it knows.
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return credentials.NewTLS(cfg)
	}
	tests := map[string]struct {
		creds   credentials.TransportCredentials
		answers bool
	}{
		"a proxy":                        {visitor(&proxy), true},
		"without a certificate":          {visitor(nil), false},
		"with another authority's":       {visitor(&other), false},
		"with a certificate of the tree": {credentials.NewTLS(identity.ClientTLS(tiertest.Source(t, "region/west"), source.Path(), nil)), false},
		"in the clear":                   {insecure.NewCredentials(), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(tt.creds))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err = authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{})
			if got := err == nil; got != tt.answers {
				t.Errorf("answered: got %t (%v), want %t", got, err, tt.answers)
			}
		})
	}
}

// authorizationElsewhere runs a zone that proxies on other hosts ask, until the test ends, and returns where.
func authorizationElsewhere(t *testing.T, source *identity.Source, clientCAFile string) string {
	t.Helper()
	parent := tiertest.NewParent(t, "region/west")
	var listeners [2]net.Listener
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	cfg := az.Config{ID: "zone-0", Region: "west", Zone: "a", Parent: []string{parent.Address}, Settle: 300 * time.Millisecond,
		Authorization: az.AuthorizationConfig{ClientCAFile: clientCAFile}}
	cfg.Default()
	zone := az.New(cfg, az.Deps{Store: mem.New(), Listener: listeners[0], Authorization: elsewhere{listeners[1]},
		Log: slog.New(slog.DiscardHandler), Identity: source})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- zone.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the zone: %v", err)
		}
	})
	return listeners[1].Addr().String()
}
