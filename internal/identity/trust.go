package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
)

// caller is whose certificates a call was made with, as they count now.
func (s *service) caller(ctx context.Context) (verified, error) {
	p, err := PeerOf(ctx)
	if err != nil {
		return verified{}, Refused("%v", err)
	}
	if !p.NotAfter.After(time.Now()) {
		return verified{}, Refused("the certificate ended at %s", p.NotAfter.Format(time.RFC3339))
	}
	v, err := verify(peerCertificates(ctx), s.cfg.Authority.source, s.cfg.Lowest)
	if err != nil {
		return verified{}, Refused("%v", err)
	}
	return v, nil
}

// standing is until when a caller's stream may stand, by what has become of its certificates since it began.
func (s *service) standing(ctx context.Context, v verified) (until time.Time, err error) {
	if err := Revoked(ctx, s.cfg.Lowest); err != nil {
		return until, Refused("%v", err)
	}
	until = v.chain[0].NotAfter
	if !time.Now().Before(until) {
		return until, Refused("the certificate ended at %s", until.Format(time.RFC3339))
	}
	return until, nil
}

// revalidate has all streams look again whether they may stand.
func (s *service) revalidate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.risen)
	s.risen = make(chan struct{})
}

func (s *service) nextRise() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.risen
}

// Trust is for the peers directly below, and at Global for its other processes. It ends when the peer is revoked, and when
// its certificate has ended: it begins anew with each. A certificate has one such stream: a second ends the first.
func (s *service) Trust(_ *identitypb.TrustRequest, stream identitypb.Authority_TrustServer) error {
	ctx := stream.Context()
	v, err := s.caller(ctx)
	if err == nil {
		err = s.cfg.Authority.signsFor(v.path)
	}
	if err != nil {
		return s.answer(ctx, audit.PeerRefused, subject(ctx), err)
	}
	ctx, leave, err := s.followers.enter(ctx, v)
	if err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	defer leave()
	ends := time.NewTimer(0)
	defer ends.Stop()
	var told []*x509.Certificate
	var active [sha256.Size]byte
	for {
		risen := s.nextRise()
		until, err := s.standing(ctx, v)
		if err != nil {
			return s.answer(ctx, audit.PeerRefused, v.path.String(), err)
		}
		ends.Reset(time.Until(until))
		changed := s.cfg.Authority.source.Changed()
		now, err := s.cfg.Authority.source.state()
		if err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		if roots := now.bundle.X509Authorities(); !sameCerts(told, roots) || active != KeyHash(now.root) {
			told, active = roots, KeyHash(now.root)
			if err := stream.Send(&identitypb.Trusted{Roots: ders(told), Active: active[:]}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-risen:
		case <-ends.C:
		case <-ctx.Done():
			if err := context.Cause(ctx); errors.Is(err, errFollowedAnew) {
				return status.Error(codes.Aborted, err.Error())
			}
			return nil
		}
	}
}
