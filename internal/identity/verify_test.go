package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

var (
	globalPath  = question.Path{}
	regionPath  = question.Path{Region: "west"}
	zonePath    = question.Path{Region: "west", Zone: "west-a"}
	clusterPath = question.Path{Region: "west", Zone: "west-a", Cluster: "one"}
)

func source(t *testing.T, root *identitytest.Root, path question.Path) *identity.Source {
	t.Helper()
	s, err := root.Source(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown is the outcome of one handshake: who the server takes the client for, and each end's error.
type shown struct {
	peer           identity.Peer
	peerErr        error
	server, client error
}

// connected is both ends of a connection.
func connected(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func shake(t *testing.T, server, client *tls.Config) shown {
	t.Helper()
	a, b := connected(t)
	var out shown
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		conn := tls.Server(a, server)
		if out.server = conn.Handshake(); out.server != nil {
			return
		}
		ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: conn.ConnectionState()}})
		out.peer, out.peerErr = identity.PeerOf(ctx)
	}()
	conn := tls.Client(b, client)
	if out.client = conn.Handshake(); out.client == nil {
		_, _ = conn.Read(make([]byte, 1)) // until the server closes
	}
	b.Close()
	<-done
	return out
}

func TestEveryPlaceIsKnownToEveryOther(t *testing.T) {
	root := identitytest.Must(identitytest.Options{Generation: func(p question.Path) uint64 { return uint64(len(p.String())) }})
	for _, server := range []question.Path{globalPath, regionPath, zonePath} {
		for _, client := range []question.Path{globalPath, regionPath, zonePath, clusterPath} {
			got := shake(t, identity.ServerTLS(source(t, root, server), nil, nil), identity.ClientTLS(source(t, root, client), server, nil))
			if got.server != nil || got.client != nil || got.peerErr != nil {
				t.Errorf("%s dials %s: server %v, client %v, peer %v", client, server, got.server, got.client, got.peerErr)
				continue
			}
			want := uint64(len(client.String()))
			if client == globalPath {
				want = 0
			}
			if got.peer.Path != client || got.peer.Generation != want || time.Until(got.peer.NotAfter) <= 0 || got.peer.Serial == "" {
				t.Errorf("%s dials %s: got peer %+v, want its path, generation %d and an end to come", client, server, got.peer, want)
			}
		}
	}
}

// forgery signs what no authority of Meridian's would, by the key of one.
type forgery struct {
	leaf *x509.Certificate
	key  crypto.Signer
	// by is whose key signs, above the chain that goes with it.
	by    crypto.Signer
	above []*x509.Certificate
}

// forge makes a certificate for template, signed by the first of above.
func forge(t *testing.T, template x509.Certificate, by crypto.Signer, above []*x509.Certificate) forgery {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(7)
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	}
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, &template, above[0], key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return forgery{leaf: cert, key: key, by: by, above: above}
}

func (f forgery) certificate() *tls.Certificate {
	c := &tls.Certificate{PrivateKey: f.key, Leaf: f.leaf, Certificate: [][]byte{f.leaf.Raw}}
	for _, cert := range f.above {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// stolen is the certificate authority of a place of root's, with its key: the place has been taken over.
func stolen(t *testing.T, root *identitytest.Root, path question.Path) (crypto.Signer, []*x509.Certificate) {
	t.Helper()
	ca, err := root.Stolen(path)
	if err != nil {
		t.Fatal(err)
	}
	return ca.Key, ca.Chain
}

func leafFor(ids ...string) x509.Certificate {
	c := x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature,
		Subject: pkix.Name{Organization: []string{"meridian"}, SerialNumber: "9"}}
	for _, id := range ids {
		c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: identitytest.Domain, Path: id})
	}
	return c
}

func caFor(place string) x509.Certificate {
	return x509.Certificate{IsCA: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign,
		Subject: pkix.Name{Organization: []string{"meridian"}, CommonName: place, SerialNumber: "9"}}
}

func TestRefused(t *testing.T) {
	root, other := identitytest.Must(identitytest.Options{}), identitytest.Must(identitytest.Options{})
	foreign := identitytest.Must(identitytest.Options{Domain: "staging"})
	zoneKey, zoneChain := stolen(t, root, zonePath)
	regionKey, regionChain := stolen(t, root, regionPath)
	globalKey, globalChain := stolen(t, root, globalPath)
	agent := func() x509.Certificate { return leafFor("/" + clusterPath.String()) }
	past := agent()
	past.NotBefore, past.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Second)
	future := agent()
	future.NotBefore, future.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	caLeaf := agent()
	caLeaf.IsCA, caLeaf.KeyUsage = true, x509.KeyUsageCertSign
	badGeneration := agent()
	badGeneration.Subject.SerialNumber = "-1"
	under := func(key crypto.Signer, chain []*x509.Certificate, middle, leaf x509.Certificate) *tls.Certificate {
		sub := forge(t, middle, key, chain)
		return forge(t, leaf, sub.key, append([]*x509.Certificate{sub.leaf}, chain...)).certificate()
	}
	show := func(s *identity.Source) *tls.Certificate {
		c, err := identitytest.Certificate(s)
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	tests := []struct {
		name string
		cert *tls.Certificate
		want string
	}{
		{"another authority", show(source(t, other, clusterPath)), "certificate signed by unknown authority"},
		{"another trust domain", show(source(t, foreign, clusterPath)), "no X.509 bundle"},
		{"expired", forge(t, past, zoneKey, zoneChain).certificate(), "expired"},
		{"not yet valid", forge(t, future, zoneKey, zoneChain).certificate(), "not yet valid"},
		{"two URIs", forge(t, leafFor("/"+clusterPath.String(), "/global"), zoneKey, zoneChain).certificate(), "more than one URI"},
		{"no place", forge(t, leafFor("/somewhere"), zoneKey, zoneChain).certificate(), "spells no place"},
		{"a CA as leaf", forge(t, caLeaf, zoneKey, zoneChain).certificate(), "CA flag"},
		{"a zone signs for another zone", forge(t, leafFor("/region/west/zone/west-b"), zoneKey, zoneChain).certificate(), "does not belong"},
		{"a zone signs for another zone's cluster", forge(t, leafFor("/region/west/zone/west-b/cluster/one"), zoneKey, zoneChain).certificate(), "does not belong"},
		{"a zone signs for its region", forge(t, leafFor("/region/west"), zoneKey, zoneChain).certificate(), "does not belong"},
		{"a zone signs for Global", forge(t, leafFor("/global"), zoneKey, zoneChain).certificate(), "does not belong"},
		{"a region signs for another region", forge(t, leafFor("/region/east"), regionKey, regionChain).certificate(), "does not belong"},
		{"a region signs for another region's zone", forge(t, leafFor("/region/east/zone/west-a"), regionKey, regionChain).certificate(), "does not belong"},
		{"a region signs for Global", forge(t, leafFor("/global"), regionKey, regionChain).certificate(), "does not belong"},
		{"a region makes a CA of another region", under(regionKey, regionChain, caFor("region/east"), leafFor("/region/east")), "does not belong"},
		{"a region makes a CA without a place", under(regionKey, regionChain, x509.Certificate{IsCA: true, MaxPathLen: -1,
			KeyUsage: x509.KeyUsageCertSign}, leafFor("/region/east")), "does not belong"},
		{"a CA whose place cannot be read", under(globalKey, globalChain, caFor("nowhere"), leafFor("/region/east")), "place of a certificate authority"},
		{"a zone makes a CA", under(zoneKey, zoneChain, caFor(zonePath.String()), agent()), "too many intermediates"},
		{"an agent signs", under(zoneKey, zoneChain, agent(), agent()), "parent certificate cannot sign"},
		{"a generation that is no number", forge(t, badGeneration, zoneKey, zoneChain).certificate(), "is not a number"},
		{"too many certificates", forge(t, agent(), zoneKey, append(zoneChain, make9(zoneChain[0])...)).certificate(), "more than 8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var told error
			server := identity.ServerTLS(source(t, root, zonePath), nil, func(_ net.Addr, err error) { told = err })
			client := identity.ClientTLS(source(t, root, clusterPath), zonePath, nil)
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tt.cert, nil }
			got := shake(t, server, client)
			if got.server == nil || !strings.Contains(got.server.Error(), tt.want) {
				t.Errorf("got %v, want it refused with %q", got.server, tt.want)
			}
			if told == nil {
				t.Error("nobody was told of the refusal")
			}
			// The same certificate on a server's side: no client believes it.
			other := &tls.Config{Certificates: []tls.Certificate{*tt.cert}, NextProtos: []string{"h2"}}
			if got := shake(t, other, identity.ClientTLS(source(t, root, clusterPath), zonePath, nil)); got.client == nil ||
				!strings.Contains(got.client.Error(), tt.want) {
				t.Errorf("as a server: got %v, want it refused with %q", got.client, tt.want)
			}
		})
	}
}

func make9(cert *x509.Certificate) (out []*x509.Certificate) {
	for range 9 {
		out = append(out, cert)
	}
	return out
}

func TestWithoutCertificateThereIsNoPeer(t *testing.T) {
	root := identitytest.Must(identitytest.Options{})
	key, chain := stolen(t, root, zonePath)
	nameless := forge(t, leafFor(), key, chain)
	for _, tt := range []struct {
		name string
		cert *tls.Certificate
	}{
		{"none", &tls.Certificate{}},
		{"one without a URI", nameless.certificate()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := identity.VisitorTLS(source(t, root, zonePath).TrustDomain(), root.Roots(), zonePath)
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tt.cert, nil }
			got := shake(t, identity.ServerTLS(source(t, root, zonePath), nil, nil), client)
			if got.server != nil || got.client != nil || !errors.Is(got.peerErr, identity.ErrNoCertificate) {
				t.Errorf("got server %v, client %v, peer %v; want a connection and ErrNoCertificate", got.server, got.client, got.peerErr)
			}
		})
	}
	if _, err := identity.PeerOf(t.Context()); !errors.Is(err, identity.ErrNoCertificate) {
		t.Errorf("outside a call: got %v, want ErrNoCertificate", err)
	}
}

func TestServerOfAnotherPlaceIsRefused(t *testing.T) {
	root, other := identitytest.Must(identitytest.Options{}), identitytest.Must(identitytest.Options{})
	for _, tt := range []struct {
		name   string
		server *identity.Source
		want   string
	}{
		{"the zone beside", source(t, root, question.Path{Region: "west", Zone: "west-b"}), "the server is region/west/zone/west-b"},
		{"the region above", source(t, root, regionPath), "the server is region/west, not"},
		{"an agent of the zone", source(t, root, clusterPath), "the server is region/west/zone/west-a/cluster/one"},
		{"the zone of another root", source(t, other, zonePath), "unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := shake(t, identity.ServerTLS(tt.server, nil, nil), identity.ClientTLS(source(t, root, clusterPath), zonePath, nil))
			if got.client == nil || !strings.Contains(got.client.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", got.client, tt.want)
			}
		})
	}
}

func TestGenerations(t *testing.T) {
	root := identitytest.Must(identitytest.Options{Generation: func(p question.Path) uint64 { return 5 }})
	for _, tt := range []struct {
		name    string
		raised  question.Path
		client  question.Path
		refused bool
	}{
		{"of the place itself", clusterPath, clusterPath, true},
		{"of the zone that issued", zonePath, clusterPath, true},
		{"of the region above", regionPath, clusterPath, true},
		{"of another cluster", question.Path{Region: "west", Zone: "west-a", Cluster: "two"}, clusterPath, false},
		{"of another zone", question.Path{Region: "west", Zone: "west-b"}, clusterPath, false},
		{"of a cluster below", clusterPath, zonePath, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lowest := func(p question.Path) uint64 {
				if p == tt.raised {
					return 6
				}
				if p == globalPath {
					return 0
				}
				return 5
			}
			got := shake(t, identity.ServerTLS(source(t, root, zonePath), lowest, nil), identity.ClientTLS(source(t, root, tt.client), zonePath, nil))
			if refused := got.server != nil; refused != tt.refused {
				t.Errorf("got %v, want refused %t", got.server, tt.refused)
			}
		})
	}
}
