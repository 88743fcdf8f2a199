package children

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
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// TestValid asks how long a session goes on whose certificate has ended: as long as whoever began it renews that.
func TestValid(t *testing.T) {
	zone := question.Path{Region: "west", Zone: "a"}
	agent, renewed := question.Path{Region: "west", Zone: "a", Cluster: "a1"}, question.Path{Region: "west", Zone: "a", Cluster: "a2"}
	root, stranger := identitytest.Must(identitytest.Options{}), identitytest.Must(identitytest.Options{})
	own, err := root.Authority(zone)
	if err != nil {
		t.Fatal(err)
	}
	replica, other := replicaOf(t, root, zone), replicaOf(t, stranger, zone)
	removed := sourceOf(t, stranger, agent)
	for _, tt := range []struct {
		name string
		from *identity.Source
		// shows is how it changes what it shows.
		shows func(certs []*x509.Certificate) []*x509.Certificate
		// signs: it goes on until the authority ends that signed its certificate, a day from now.
		signs bool
		err   error
	}{
		{"an agent that was issued no other", removed, honest, false, errEnded},
		{"an agent that was issued another here", sourceOf(t, root, renewed), honest, false, nil},
		{"another replica of the zone, which signs its own", replica, honest, true, nil},
		{"a process of another place, which signs its own", sourceOf(t, root, question.Path{Region: "west"}), honest, true, nil},
		{"a replica under a root that is believed no more", other, honest, false, errEnded},
		{"an agent with an authority of its own making", removed, beside(t, agent), false, errEnded},
		{"an agent with one of the zone's of its own making", removed, beside(t, zone), false, errEnded},
		{"a replica with one more of its own making", replica, beside(t, zone), true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svid, err := tt.from.GetX509SVID()
			if err != nil {
				t.Fatal(err)
			}
			ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{
				PeerCertificates: tt.shows(svid.Certificates)}}})
			d := &door{authority: own}
			until, err := d.valid(ctx, feedgrpc.Identity{Path: tt.from.Path().String(), NotAfter: time.Now().Add(-time.Minute)})
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if left := time.Until(until); err == nil && (left <= 0 || left > 25*time.Hour) || tt.signs && left < 2*time.Hour {
				t.Errorf("it goes on for %v", left)
			}
		})
	}
}

func sourceOf(t *testing.T, root *identitytest.Root, path question.Path) *identity.Source {
	t.Helper()
	source, err := root.Source(path)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func replicaOf(t *testing.T, root *identitytest.Root, path question.Path) *identity.Source {
	t.Helper()
	replica, err := root.Replica(path)
	if err != nil {
		t.Fatal(err)
	}
	return replica.Source()
}

func honest(certs []*x509.Certificate) []*x509.Certificate { return certs }

// beside has a certificate shown after the first that nobody but its maker signed, and that says to be an authority of a
// place for long. TLS takes no notice of it, since it is on no way to a root.
func beside(t *testing.T, path question.Path) func([]*x509.Certificate) []*x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(50, 0, 0),
		Subject: pkix.Name{Organization: []string{"meridian"}, CommonName: path.String(), SerialNumber: "0"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return func(certs []*x509.Certificate) []*x509.Certificate {
		return slices.Insert(slices.Clone(certs), 1, forged)
	}
}
