package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meridian-federation/meridian/internal/question"
)

// alpn is what is spoken inside: HTTP/2, which gRPC asks for.
var alpn = []string{"h2"}

// ServerTLS is TLS for those who dial this process: it asks for a certificate, and lets none pass, as well as one without
// a URI, which is none of a peer's and which nobody has verified: PeerOf knows neither. One with a URI is verified in every
// respect, or the handshake fails, of which refused is told; a nil refused is nobody. Nothing is resumed, so that every
// connection is verified.
func ServerTLS(s *Source, lowest Lowest, refused func(from net.Addr, err error)) *tls.Config {
	cfg := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             alpn,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
	}
	// A configuration for each connection, since only here its address is known.
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		own, from := cfg.Clone(), hello.Conn.RemoteAddr()
		own.GetConfigForClient = nil
		own.VerifyConnection = func(conn tls.ConnectionState) error {
			if isStranger(conn.PeerCertificates) {
				return nil
			}
			_, err := verify(conn.PeerCertificates, s, lowest)
			if err != nil && refused != nil {
				refused(from, err)
			}
			return err
		}
		return own, nil
	}
	return cfg
}

// isStranger tells whether a peer has shown nothing that could name a place.
func isStranger(certs []*x509.Certificate) bool { return len(certs) == 0 || len(certs[0].URIs) == 0 }

// ClientTLS is TLS for dialling a server that must be exactly this place, of generations that lowest accepts, and that are
// none below those that this process has met before: a parent that was replaced is refused also by those who hear of
// nobody's grants. A nil lowest accepts all that were not met.
func ClientTLS(s *Source, server question.Path, lowest Lowest) *tls.Config {
	cfg := serverOnly(func(certs []*x509.Certificate) error {
		v, err := verifyServer(certs, s, server, s.met.atLeast(lowest))
		if err != nil {
			v, err = s.adopt(certs, server, s.met.atLeast(lowest), err)
		}
		if err != nil {
			return err
		}
		return s.met.note(v)
	})
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate() }
	return cfg
}

func (s *Source) certificate() (*tls.Certificate, error) {
	now, err := s.state()
	if err != nil {
		return nil, err
	}
	return now.tls, nil
}

// VisitorTLS is TLS for whoever has no place, people above all, and dials a server that must be this place, under the
// roots given. The caller adds a certificate of another kind if there is one.
func VisitorTLS(domain spiffeid.TrustDomain, roots []*x509.Certificate, server question.Path) *tls.Config {
	return serverOnly(func(certs []*x509.Certificate) error {
		_, err := verifyServer(certs, x509bundle.FromX509Authorities(domain, roots), server, nil)
		return err
	})
}

// serverOnly verifies the server and shows nothing. Host names say nothing here, so the library's own verification, which is
// of them, is replaced.
func serverOnly(check func(certs []*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         alpn,
		InsecureSkipVerify: true,
		VerifyConnection:   func(conn tls.ConnectionState) error { return check(conn.PeerCertificates) },
	}
}

func verifyServer(certs []*x509.Certificate, roots x509bundle.Source, server question.Path, lowest Lowest) (verified, error) {
	v, err := verify(certs, roots, lowest)
	if err != nil {
		return v, err
	}
	if v.path != server {
		return v, fmt.Errorf("the server is %s, not %s", v.path, server)
	}
	return v, nil
}

// pinnedTLS is TLS for a newcomer, who knows the roots by their pins alone: one must be among what the server shows.
func pinnedTLS(domain spiffeid.TrustDomain, pins [][sha256.Size]byte, server question.Path) *tls.Config {
	return serverOnly(func(certs []*x509.Certificate) error {
		root, err := pinned(certs, pins)
		if err != nil {
			return err
		}
		_, err = verifyServer(certs, x509bundle.FromX509Authorities(domain, []*x509.Certificate{root}), server, nil)
		return err
	})
}

// errPin is a parent whose root is another one than the newcomer was told.
var errPin = errors.New("the root that the parent shows is not the one that is pinned")

func pinned(certs []*x509.Certificate, pins [][sha256.Size]byte) (*x509.Certificate, error) {
	for _, cert := range certs {
		if cert.IsCA && slices.Contains(pins, KeyHash(cert)) {
			return cert, nil
		}
	}
	return nil, errPin
}
