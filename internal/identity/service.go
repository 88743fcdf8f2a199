package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity/identitypb"
	"github.com/meridian-federation/meridian/internal/origin"
	"github.com/meridian-federation/meridian/internal/question"
)

// redeemPatience is how long a parent waits for those above it to redeem a token.
const redeemPatience = 10 * time.Second

// ServiceConfig is what a parent gives its children certificates with.
type ServiceConfig struct {
	Authority *Authority
	// Redeemer is Global's; nil, in regions and zones, has the parent's asked.
	Redeemer Redeemer
	Lowest   Lowest
	// Audit is told of enrolments, and of what was refused.
	Audit *audit.Log
	Log   *slog.Logger
}

// Serve offers the service to children. What it returns is to be called when Lowest has risen for some place: streams of
// the revoked end then.
func Serve(reg grpc.ServiceRegistrar, cfg ServiceConfig) (revalidate func()) {
	if cfg.Redeemer == nil {
		cfg.Redeemer = cfg.Authority.relay
	}
	s := &service{cfg: cfg, strangers: origin.NewBudget(ownBurst, ownPause),
		enrolments: rate.NewLimiter(enrolRate, enrolBurst), risen: make(chan struct{})}
	identitypb.RegisterAuthorityServer(reg, s)
	return s.revalidate
}

type service struct {
	identitypb.UnimplementedAuthorityServer
	cfg ServiceConfig
	// strangers is what each address may ask for, enrolments what all may.
	strangers  *origin.Budget
	enrolments *rate.Limiter
	followers  followers

	mu    sync.Mutex
	risen chan struct{} // guarded by mu; closed and replaced when Lowest has risen
}

func (s *service) redeem(ctx context.Context, token string, path question.Path, hash [sha256.Size]byte) (uint64, error) {
	if s.cfg.Redeemer == nil {
		return 0, errors.New("nobody here can redeem a token")
	}
	ctx, cancel := context.WithTimeout(ctx, redeemPatience)
	defer cancel()
	return s.cfg.Redeemer.Redeem(ctx, token, path, hash)
}

func (s *service) issue(csr []byte, path question.Path, generation uint64) (*identitypb.Issued, error) {
	chain, err := s.cfg.Authority.Issue(csr, path, generation)
	if err != nil {
		return nil, err
	}
	return &identitypb.Issued{Chain: chain, Roots: ders(s.cfg.Authority.source.Roots())}, nil
}

// Renew goes by the certificates of the connection, which may have been revoked since it was made.
func (s *service) Renew(ctx context.Context, req *identitypb.RenewRequest) (*identitypb.Issued, error) {
	issued, err := s.renew(ctx, req.GetCsr())
	if err != nil {
		return nil, s.answer(ctx, audit.Renew, subject(ctx), err)
	}
	return issued, nil
}

func (s *service) renew(ctx context.Context, csr []byte) (*identitypb.Issued, error) {
	v, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	generation, err := v.generation()
	if err != nil {
		return nil, Refused("%v", err)
	}
	// Not less, or the caller would be refused; more was granted by nobody whom this parent has heard of.
	if s.cfg.Lowest != nil && generation > s.cfg.Lowest(v.path) {
		return nil, Refused("the generation %d of %s is above %d, the one that was granted", generation, v.path, s.cfg.Lowest(v.path))
	}
	return s.issue(csr, v.path, generation)
}

// Redeem is for regions and zones, each for what is below it.
func (s *service) Redeem(ctx context.Context, req *identitypb.RedeemRequest) (*identitypb.Redeemed, error) {
	path, hash, err := s.redemption(ctx, req)
	if err != nil {
		return nil, s.answer(ctx, audit.Redeem, req.GetPath(), err)
	}
	generation, err := s.redeem(ctx, req.GetToken(), path, hash)
	if err != nil {
		return nil, s.answer(ctx, audit.Redeem, req.GetPath(), err)
	}
	return &identitypb.Redeemed{Generation: generation}, nil
}

func (s *service) redemption(ctx context.Context, req *identitypb.RedeemRequest) (path question.Path, hash [sha256.Size]byte, err error) {
	caller, err := s.caller(ctx)
	if err != nil {
		return path, hash, err
	}
	if len(req.GetToken()) > maxToken || len(req.GetPath()) > maxPath || len(req.GetKeyHash()) != len(hash) {
		return path, hash, Refused("the token or the path is too long, or the key's hash has not %d bytes", len(hash))
	}
	if path, err = parsePath(req.GetPath()); err != nil {
		return path, hash, err
	}
	// The caller's own place is directly below this one; what it asks for is below the caller.
	if !s.cfg.Authority.parentOf(caller.path) || path == caller.path || !caller.path.Contains(path) {
		return path, hash, Refused("%s may not redeem tokens for %s", caller.path, path)
	}
	return path, [sha256.Size]byte(req.GetKeyHash()), nil
}

func parsePath(text string) (question.Path, error) {
	path, err := question.ParsePath(text)
	if err != nil {
		return path, Refused("the path is neither global nor region/REGION[/zone/ZONE[/cluster/CLUSTER]]")
	}
	return path, nil
}

// answer is an error as the caller gets it; what is refused is recorded.
func (s *service) answer(ctx context.Context, action audit.Action, subject string, err error) error {
	if errors.Is(err, ErrRefused) {
		s.cfg.Audit.Record(ctx, audit.Event{Action: action, Actor: actor(ctx), Subject: subject, Result: audit.Refused, Reason: err.Error()})
	}
	return toStatus(err)
}

// actor is the peer's SPIFFE id, or its address if it has none.
func actor(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	if who, err := PeerOf(ctx); err == nil {
		return fmt.Sprintf("%s at %s", who.Path, p.Addr)
	}
	return p.Addr.String()
}

// address is where a call comes from, nil if nobody knows.
func address(ctx context.Context) net.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr
	}
	return nil
}

// subject is the peer's place, empty if it shows none.
func subject(ctx context.Context) string {
	who, err := PeerOf(ctx)
	if err != nil {
		return ""
	}
	return who.Path.String()
}

// tokenAttr is a token as the audit log may hold it: its id.
func tokenAttr(text string) slog.Attr {
	token, _ := ParseToken(text)
	return slog.String("token", token.ID)
}

// toStatus is an error as gRPC carries it: refused, not to be asked for again, or not to be had now.
func toStatus(err error) error {
	if errors.Is(err, ErrRefused) {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}

// fromStatus is the other end of toStatus.
func fromStatus(err error) error {
	s := status.Convert(err)
	if s.Code() == codes.PermissionDenied {
		return Refused("%s", s.Message())
	}
	return err
}
