package identity

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/origin"
	"github.com/meridian-federation/meridian/internal/question"
)

// What strangers can cost a parent: so many enrolments a second, the more at once after a quiet time, of which those of one
// address have a share, and of each text no more than so many bytes. A newcomer that is turned away comes again by itself.
const (
	enrolRate  = 20
	enrolBurst = 100
	ownBurst   = enrolBurst / 2
	ownPause   = 4 * time.Second / enrolRate
	maxToken   = 128
	maxPath    = 1024
)

// Enroll is open to those who have no certificate: what it does before the token is redeemed is bounded. What cannot be an
// enrolment takes nothing from those that can.
func (s *service) Enroll(ctx context.Context, req *identitypb.EnrollRequest) (*identitypb.Issued, error) {
	path, err := s.applicant(req)
	if err != nil {
		return nil, s.answer(ctx, audit.Enrol, "", err)
	}
	from := origin.Of(address(ctx))
	if !s.strangers.Spend(from, time.Now()) || !s.enrolments.Allow() {
		return nil, status.Error(codes.ResourceExhausted, "too many enrolments at once; try again")
	}
	issued, err := s.enroll(ctx, req, path)
	if err != nil {
		return nil, s.stranger(s.answer(ctx, audit.Enrol, req.GetPath(), err), path)
	}
	s.strangers.Refund(from, time.Now())
	s.cfg.Audit.Record(ctx, audit.Event{Action: audit.Enrol, Actor: actor(ctx), Subject: req.GetPath(), Result: audit.Done,
		Attrs: []slog.Attr{tokenAttr(req.GetToken())}})
	s.cfg.Log.Info("enrolled", "path", req.GetPath())
	return issued, nil
}

// applicant is the place that somebody asks to enrol as, who may, as far as can be told without effort.
func (s *service) applicant(req *identitypb.EnrollRequest) (path question.Path, err error) {
	if len(req.GetToken()) > maxToken || len(req.GetPath()) > maxPath {
		return path, Refused("the token or the path is too long")
	}
	if path, err = parsePath(req.GetPath()); err != nil {
		return path, err
	}
	if _, err := ParseToken(req.GetToken()); err != nil {
		return path, Refused("%v", err)
	}
	if len(req.GetCsr()) > maxRequest {
		return path, Refused("the certificate request has %d bytes, more than %d", len(req.GetCsr()), maxRequest)
	}
	return path, nil
}

// stranger is an answer that tells nothing of what is inside: why something cannot be had now is logged here.
func (s *service) stranger(answer error, path question.Path) error {
	if status.Code(answer) == codes.PermissionDenied {
		return answer
	}
	s.cfg.Log.Warn("nobody enrols now", "path", path, "err", answer)
	return status.Error(codes.Unavailable, "enrolments cannot be decided now; try again, and see this process's log")
}

func (s *service) enroll(ctx context.Context, req *identitypb.EnrollRequest, path question.Path) (*identitypb.Issued, error) {
	_, hash, err := requestedKey(req.GetCsr())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Authority.signsFor(path); err != nil {
		return nil, err
	}
	generation, err := s.redeem(ctx, req.GetToken(), path, hash)
	if err != nil {
		return nil, err
	}
	return s.issue(req.GetCsr(), path, generation)
}
