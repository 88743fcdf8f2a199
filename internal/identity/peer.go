package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/meridian-federation/meridian/internal/question"
)

// ErrNoCertificate is a peer that has shown no certificate that could name a place.
var ErrNoCertificate = errors.New("the peer has no certificate")

// Peer is who is at the other end of a connection.
type Peer struct {
	Path       question.Path
	Generation uint64
	// NotAfter is when the certificate that the connection was made with ends.
	NotAfter time.Time
	Serial   string
	// Signs is until when the peer can sign itself other certificates, by the authority of its own place that it has shown; zero
	// if it has shown none.
	Signs time.Time
}

// PeerOf is who calls. The connection must have been made with ServerTLS, which has verified what is read here; on any
// other there is no peer.
func PeerOf(ctx context.Context) (Peer, error) {
	certs := peerCertificates(ctx)
	if isStranger(certs) {
		return Peer{}, ErrNoCertificate
	}
	who, err := peerOf(certs[0])
	if err != nil || len(certs) == 1 {
		return who, err
	}
	if place, ok, err := placeOf(certs[1]); err == nil && ok && place == who.Path {
		who.Signs = earliest(certs[1:])
	}
	return who, nil
}

// peerCertificates are those that the connection of a call was made with.
func peerCertificates(ctx context.Context) []*x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	return info.State.PeerCertificates
}

func peerOf(leaf *x509.Certificate) (Peer, error) {
	path, err := pathOf(leaf)
	if err != nil {
		return Peer{}, fmt.Errorf("reading the peer's certificate: %w", err)
	}
	generation, err := generationOf(leaf)
	if err != nil {
		return Peer{}, fmt.Errorf("reading the peer's certificate: %w", err)
	}
	return Peer{Path: path, Generation: generation, NotAfter: leaf.NotAfter, Serial: leaf.SerialNumber.Text(16)}, nil
}

// Revoked says why the certificates no longer count that a call's connection was made with, as lowest has it now; nil while
// they do, and of a call without any. The connection must have been made with ServerTLS.
func Revoked(ctx context.Context, lowest Lowest) error {
	certs := peerCertificates(ctx)
	if isStranger(certs) {
		return nil
	}
	path, err := pathOf(certs[0])
	if err != nil {
		return fmt.Errorf("reading the peer's certificate: %w", err)
	}
	return rule(path, certs, lowest)
}
