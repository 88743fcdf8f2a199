package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/question"
)

// caller is a connection to the service of a place, which stands until the test ends.
func (tr *tree) caller(as, at question.Path) identitypb.AuthorityClient {
	tr.t.Helper()
	return tr.callerWith(credentials.NewTLS(identity.ClientTLS(tr.procs[as].Source, at, nil)), at)
}

func (tr *tree) callerWith(c credentials.TransportCredentials, at question.Path) identitypb.AuthorityClient {
	tr.t.Helper()
	conn, err := grpc.NewClient(tr.procs[at].address, grpc.WithTransportCredentials(c))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { conn.Close() })
	return identitypb.NewAuthorityClient(conn)
}

func csrOf(t *testing.T, key any) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func newCSR(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return csrOf(t, key)
}

// TestRevokedPlaceOnAStandingConnection: a connection that was made before the place was enrolled anew gets nothing any more.
func TestRevokedPlaceOnAStandingConnection(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	standing, csr := tr.caller(zonePath, regionPath), newCSR(t)
	if _, err := standing.Renew(t.Context(), &identitypb.RenewRequest{Csr: csr}); err != nil {
		t.Fatalf("before: %v", err)
	}
	cfg := tr.config(zonePath, tr.token(zonePath, question.TokenReplace))
	cfg.Dir = t.TempDir()
	if _, err := tr.open(cfg); err != nil {
		t.Fatal(err)
	}
	_, err := standing.Renew(t.Context(), &identitypb.RenewRequest{Csr: csr})
	wantRefused(t, "renewing", err, "is revoked")
	_, err = standing.Redeem(t.Context(), &identitypb.RedeemRequest{Token: identity.NewToken().Text(), Path: clusterPath.String(), KeyHash: make([]byte, 32)})
	wantRefused(t, "redeeming", err, "is revoked")
	if got := tr.trail.String(); !strings.Contains(got, `"action":"renew"`) || !strings.Contains(got, `"action":"redeem"`) {
		t.Errorf("the audit log has not both refusals:\n%s", got)
	}
}

func wantRefused(t *testing.T, what string, err error, why string) {
	t.Helper()
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: got %v, want PermissionDenied that says %q", what, err, why)
	}
}

func TestBadEnrolments(t *testing.T) {
	tr := newTree(t, long)
	visitor := tr.callerWith(credentials.NewTLS(identity.VisitorTLS(tr.procs[globalPath].Source.TrustDomain(), tr.procs[globalPath].Source.Roots(), globalPath)), globalPath)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := newCSR(t)
	unsigned[len(unsigned)-1] ^= 1
	good, token := newCSR(t), identity.NewToken().Text()
	for _, tt := range []struct {
		name string
		req  *identitypb.EnrollRequest
		why  string
	}{
		{"a token too long", &identitypb.EnrollRequest{Token: strings.Repeat("a", 1<<10), Path: "region/west", Csr: good}, "too long"},
		{"a path too long", &identitypb.EnrollRequest{Token: token, Path: "region/" + strings.Repeat("a", 1<<12), Csr: good}, "too long"},
		{"no path", &identitypb.EnrollRequest{Token: token, Csr: good}, "the path is neither"},
		{"a request too long", &identitypb.EnrollRequest{Token: token, Path: "region/west", Csr: make([]byte, 1<<13)}, "more than 4096"},
		{"no request", &identitypb.EnrollRequest{Token: token, Path: "region/west"}, "cannot be read"},
		{"another kind of key", &identitypb.EnrollRequest{Token: token, Path: "region/west", Csr: csrOf(t, small)}, "not ECDSA"},
		{"a request that the key has not signed", &identitypb.EnrollRequest{Token: token, Path: "region/west", Csr: unsigned}, "not signed by its own key"},
		{"not a child", &identitypb.EnrollRequest{Token: token, Path: zonePath.String(), Csr: good}, "is not directly below global"},
		{"a token nobody made", &identitypb.EnrollRequest{Token: token, Path: "region/west", Csr: good}, "the token is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := visitor.Enroll(t.Context(), tt.req)
			wantRefused(t, "enrolling", err, tt.why)
		})
	}
}

// stranger has no certificate, and comes from an address of this host.
func (tr *tree) stranger(at question.Path, from string) identitypb.AuthorityClient {
	tr.t.Helper()
	source := tr.procs[at].Source
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := grpc.NewClient(tr.procs[at].address, grpc.WithTransportCredentials(credentials.NewTLS(
		identity.VisitorTLS(source.TrustDomain(), source.Roots(), at))),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { conn.Close() })
	return identitypb.NewAuthorityClient(conn)
}

// flood has a stranger ask at once, so many times, and counts the answers.
func flood(t *testing.T, client identitypb.AuthorityClient, calls int, req *identitypb.EnrollRequest) map[codes.Code]int {
	t.Helper()
	answers := make(chan error)
	for range calls {
		go func() {
			_, err := client.Enroll(context.WithoutCancel(t.Context()), req)
			answers <- err
		}()
	}
	got := map[codes.Code]int{}
	for range calls {
		got[status.Code(<-answers)]++
	}
	return got
}

// TestEnrolmentsAreBounded: strangers can cost a parent so much and no more, and one address does not cost another its turn.
func TestEnrolmentsAreBounded(t *testing.T) {
	tr := newTree(t, long)
	wrong := &identitypb.EnrollRequest{Path: regionPath.String(), Token: identity.NewToken().Text(), Csr: newCSR(t)}
	const calls = 400
	got := flood(t, tr.stranger(globalPath, "127.0.0.1"), calls, wrong)
	if got[codes.ResourceExhausted] == 0 || got[codes.PermissionDenied] < 50 || got[codes.ResourceExhausted]+got[codes.PermissionDenied] != calls {
		t.Errorf("%d enrolments at once: got %v, want at least 50 looked at, and some turned away", calls, got)
	}
	if got := flood(t, tr.stranger(globalPath, "127.0.0.2"), 10, wrong); got[codes.PermissionDenied] != 10 {
		t.Errorf("10 of another address meanwhile: got %v, want all looked at", got)
	}
	if got := flood(t, tr.stranger(globalPath, "127.0.0.3"), calls, &identitypb.EnrollRequest{Path: "nowhere"}); got[codes.PermissionDenied] != calls {
		t.Errorf("%d that are no enrolments: got %v, want all refused", calls, got)
	}
	if got := flood(t, tr.stranger(globalPath, "127.0.0.3"), 10, wrong); got[codes.PermissionDenied] != 10 {
		t.Errorf("10 of the same address after these: got %v, want all looked at", got)
	}
}

// TestStrangersAreToldOfNothingInside: why a token cannot be redeemed now is nothing for those who may have none.
func TestStrangersAreToldOfNothingInside(t *testing.T) {
	tr := newTree(t, long)
	tr.start(regionPath, tr.token(regionPath, question.TokenNew))
	tr.procs[globalPath].stop()
	_, err := tr.stranger(regionPath, "127.0.0.1").Enroll(t.Context(),
		&identitypb.EnrollRequest{Path: zonePath.String(), Token: identity.NewToken().Text(), Csr: newCSR(t)})
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "127.0.0.1") || !strings.Contains(err.Error(), "try again") {
		t.Errorf("got %v, want Unavailable with no address of Global's", err)
	}
}

func TestCollector(t *testing.T) {
	tr := newTree(t, long)
	tr.grow()
	for path, want := range map[question.Path]map[string]time.Time{
		zonePath:    {"shown": tr.status(zonePath).NotAfter, "signing": tr.status(zonePath).AuthorityNotAfter},
		clusterPath: {"shown": tr.status(clusterPath).NotAfter},
	} {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(tr.procs[path].Collector())
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]time.Time{}
		for _, family := range families {
			if family.GetName() != "meridian_certificate_expiry_timestamp_seconds" {
				continue
			}
			for _, m := range family.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = time.Unix(int64(m.GetGauge().GetValue()), 0).UTC()
			}
		}
		if !maps.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

// serveAuthority offers the service at a socket of its own, and dials it as a place; both end with the test.
func serveAuthority(t *testing.T, cfg identity.ServiceConfig, as *identity.Source) (client identitypb.AuthorityClient, revalidate func()) {
	t.Helper()
	clients, revalidate := serveAll(t, cfg, as)
	return clients[0], revalidate
}

// serveAll is serveAuthority for several who dial it.
func serveAll(t *testing.T, cfg identity.ServiceConfig, all ...*identity.Source) (clients []identitypb.AuthorityClient, revalidate func()) {
	t.Helper()
	source := cfg.Authority.Source()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLS(source, cfg.Lowest, nil))))
	revalidate = identity.Serve(server, cfg)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	for _, as := range all {
		conn, err := grpc.NewClient(listener.Addr().String(),
			grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientTLS(as, source.Path(), nil))))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		clients = append(clients, identitypb.NewAuthorityClient(conn))
	}
	return clients, revalidate
}
