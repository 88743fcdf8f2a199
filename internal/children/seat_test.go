package children_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// standing is a connection that a child has made and asked nothing on.
func (r *tier) standing(source *identity.Source) *grpc.ClientConn {
	r.t.Helper()
	conn, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientTLS(source, r.path, nil))))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(r.t.Context(), state) {
			r.t.Fatal("the connection is not made")
		}
	}
	return conn
}

// successor is a place's identity of a later generation, which the tier's authority issued.
func (r *tier) successor(old *identity.Source, generation uint64) *identity.Source {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		r.t.Fatal(err)
	}
	issued, err := r.own.Issue(csr, old.Path(), generation)
	if err != nil {
		r.t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range issued {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			r.t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	source, err := identity.NewSource(old.TrustDomain(), old.Path())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := source.Install(identity.Credential{Key: key, Chain: chain}, r.root.Roots()); err != nil {
		r.t.Fatal(err)
	}
	return source
}

// knock begins a session of a cluster on a connection, and returns what the tier says to it.
func knock(t *testing.T, conn *grpc.ClientConn, path question.Path) (goodbye string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	session, err := feedpb.NewFeedClient(conn).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hello := &feedpb.Hello{Protocol: 1, Role: string(path.Tier()), Path: path.String()}
	if err := session.Send(&feedpb.Frame{Message: &feedpb.Frame_Hello{Hello: hello}}); err != nil {
		t.Fatal(err)
	}
	frame, err := session.Recv()
	if err != nil {
		return err.Error()
	}
	return frame.GetGoodbye().GetReason()
}

// TestRevokedPeerTakesNoSeat has a revoked process come again and again on a connection that it made before: it neither ends
// the session of the one that replaced it, nor uses up how often that one may come.
func TestRevokedPeerTakesNoSeat(t *testing.T) {
	r := newTier(t, question.Path{Region: "west", Zone: "a"}, identitytest.Options{})
	path := question.Path{Region: "west", Zone: "a", Cluster: "c"}
	revoked, err := r.root.Source(path)
	if err != nil {
		t.Fatal(err)
	}
	conn := r.standing(revoked)
	r.grant(path.String(), 1)
	r.run(r.successor(revoked, 1))
	for n := range 50 {
		if n > 0 && conn.GetState() != connectivity.Ready {
			break // it is closed, which it is to be before long
		}
		if got := knock(t, conn, path); !strings.Contains(got, "revoked") {
			t.Fatalf("at time %d it is told %q, want that it is revoked", n, got)
		}
	}
	if len(r.ended) > 0 || !r.table.Connected(path.String()) {
		t.Error("the session of the one that replaced it has ended, want it to go on")
	}
}
