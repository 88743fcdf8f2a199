package tiertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/question/questionpb"
)

// Caller calls a server as somebody, with the certificate that he has, or none.
type Caller struct {
	certificate *tls.Certificate
	roots       []*x509.Certificate
}

// Nobody has no certificate.
func Nobody() Caller { return Caller{roots: Root().Roots()} }

// At has the certificate of a place, by the authority that the tests believe.
func At(t testing.TB, path string) Caller {
	t.Helper()
	return show(t, Source(t, path))
}

// Stranger has the certificate of a place by an authority that nobody believes.
func Stranger(t testing.TB, path string) Caller {
	t.Helper()
	place, err := question.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := identitytest.New(identitytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := other.Source(place)
	if err != nil {
		t.Fatal(err)
	}
	return show(t, source)
}

func show(t testing.TB, source *identity.Source) Caller {
	t.Helper()
	certificate, err := identitytest.Certificate(source)
	if err != nil {
		t.Fatal(err)
	}
	return Caller{certificate: &certificate, roots: Root().Roots()}
}

// Person has a client certificate as API servers take them: a name, and no place.
func Person(t testing.TB, name string) Caller {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return Caller{certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: Root().Roots()}
}

// dial connects to a server that must be a place.
func (c Caller) dial(t testing.TB, address string, server question.Path) *grpc.ClientConn {
	t.Helper()
	cfg := identity.VisitorTLS(Source(t, server.String()).TrustDomain(), c.roots, server)
	if c.certificate != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func request() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// Renew asks for a new certificate for the caller's own place.
func (c Caller) Renew(t testing.TB, address, server string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	csr, err := request()
	if err != nil {
		t.Fatal(err)
	}
	_, err = identitypb.NewAuthorityClient(conn).Renew(ctx, &identitypb.RenewRequest{Csr: csr})
	return err
}

// Trust asks for the roots to believe.
func (c Caller) Trust(t testing.TB, address, server string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	stream, err := identitypb.NewAuthorityClient(conn).Trust(ctx, &identitypb.TrustRequest{})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// Ask asks for the state of the tree, as people do.
func (c Caller) Ask(t testing.TB, address, server string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	_, err := questionpb.NewHubClient(conn).Ask(ctx, &questionpb.AskRequest{Kind: question.KindOverview, Payload: []byte("{}")})
	return err
}

// Redeem has a token redeemed for a place.
func (c Caller) Redeem(t testing.TB, address, server, path string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	_, err := identitypb.NewAuthorityClient(conn).Redeem(ctx, &identitypb.RedeemRequest{Token: "aaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		Path: path, KeyHash: make([]byte, 32)})
	return err
}

// Enroll asks for a certificate for a place, with a token that nobody has made.
func (c Caller) Enroll(t testing.TB, address, server, path string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	csr, err := request()
	if err != nil {
		t.Fatal(err)
	}
	_, err = identitypb.NewAuthorityClient(conn).Enroll(ctx, &identitypb.EnrollRequest{Token: "aaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		Path: path, Csr: csr})
	return err
}

// Session begins a session with a claim, and returns why the server ends it before it has said who it is itself; nil if it
// goes on.
func (c Caller) Session(t testing.TB, address, server, role, path string) error {
	t.Helper()
	conn, ctx := c.reach(t, address, server)
	stream, err := feedpb.NewFeedClient(conn).Session(ctx)
	if err != nil {
		return err
	}
	hello := &feedpb.Hello{Protocol: feed.Version, Role: role, Path: path}
	if err := stream.Send(&feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: hello}}); err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if err != nil {
			return err
		}
		if frame.GetHello() != nil {
			return nil
		}
		if g := frame.GetGoodbye(); g != nil {
			return errors.New(g.GetReason())
		}
	}
}

func (c Caller) reach(t testing.TB, address, server string) (*grpc.ClientConn, context.Context) {
	t.Helper()
	place, err := question.ParsePath(server)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return c.dial(t, address, place), ctx
}
