package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
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
}

// PeerOf is who calls. The connection must have been made with ServerTLS, which has verified what is read here; on any
// other there is no peer.
func PeerOf(ctx context.Context) (Peer, error) {
	certs := peerCertificates(ctx)
	if isStranger(certs) {
		return Peer{}, ErrNoCertificate
	}
	return peerOf(certs[0])
}

// RenewedUntil is until when the peer of a call has certificates beyond the one that it has shown: such as this process has
// issued to its place since, and such as it signs itself by its place's authority. Zero is neither. No more than that is
// known here: who had issued the authority may have been an earlier process.
func (a *Authority) RenewedUntil(ctx context.Context, lowest Lowest) time.Time {
	until := a.signsUntil(ctx, lowest)
	if who, err := PeerOf(ctx); err == nil {
		if issued := a.Issued(who.Path); issued.After(until) {
			return issued
		}
	}
	return until
}

// signsUntil is until when the peer of a call can sign itself certificates by the authority that signed the one it has shown;
// zero where that is not its own place's, and where the roots that are believed now do not bear it out. Of what a peer shows
// only what leads to a root counts: it can add whatever it likes.
func (a *Authority) signsUntil(ctx context.Context, lowest Lowest) time.Time {
	certs := peerCertificates(ctx)
	if isStranger(certs) {
		return time.Time{}
	}
	// The certificate may have ended by now, and the session with it were it not for its authority: what counts is that
	// it held to its last moment.
	v, err := verify(certs, a.source, lowest, x509svid.WithTime(certs[0].NotAfter))
	if err != nil || v.issued() == v.chain[0] {
		return time.Time{}
	}
	return earliest(v.chain[1:])
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
