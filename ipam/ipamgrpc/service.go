// Package ipamgrpc serves package ipam's addresses to the places right below one, for machines and programs that have no
// IPClaim: meridian.ipam.v1.IPAM, beside the feed and behind the same mutual TLS.
//
//	caller ── certificate ──▶ PATH, right below here? ──▶ owner local/PATH/… ──▶ rate ──▶ quota ──▶ ledger
//
// A caller reaches its own owners and no others: it is refused, and that is audited. Nothing is answered but by the process
// that leads. Global, regions and zones import the package; it knows none of them.
package ipamgrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/ipam/ipampb"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// Config is what a place serves with.
type Config struct {
	// Place is the one that serves those right below it.
	Place question.Path
	// Ledger is the place's, while this process leads and has it open; else nil.
	Ledger func() *ledger.Ledger
	// Leader is the ID of the process that leads, as far as it is known; nil: it is not.
	Leader func() string
	// Lowest is by which certificates are refused that are revoked.
	Lowest identity.Lowest
	Limits Limits
	// Rate is how many requests a caller may make in a second for long, after Burst at once; 0 is no limit.
	Rate  float64
	Burst int
	// Audit is told who was refused.
	Audit *audit.Log
}

// Register serves on a server whose connections were made with identity.ServerTLS.
func Register(reg grpc.ServiceRegistrar, cfg Config) {
	cfg.Limits.Default()
	if cfg.Rate <= 0 {
		cfg.Rate, cfg.Burst = float64(rate.Inf), MaxBatch
	}
	ipampb.RegisterIPAMServer(reg, &service{cfg: cfg, account: &account{limits: cfg.Limits}, rates: map[string]*rate.Limiter{},
		watching: map[string]bool{}})
}

type service struct {
	ipampb.UnimplementedIPAMServer
	cfg     Config
	account *account

	mu       sync.Mutex // guards all below, of which there is one for each place right below
	rates    map[string]*rate.Limiter
	watching map[string]bool
}

// caller is who calls, let in, with the ledger that is open.
type caller struct {
	path   string
	ledger *ledger.Ledger
}

// owners is what its owners begin with.
func (c caller) owners() string { return local + c.path + "/" }

// share is what an entry counts as.
func (c caller) share(e ledger.Entry) share {
	return share{c.path, e.Tenant, size(e.Prefix.Addr().Is6(), e.Prefix.Bits())}
}

// enter lets a caller in who may ask for n things of owners, or what owners begin with.
func (s *service) enter(ctx context.Context, method string, n int, owners ...string) (caller, error) {
	who, err := identity.PeerOf(ctx)
	if err != nil {
		return caller{}, s.refuse(ctx, address(ctx), method, err.Error())
	}
	c := caller{path: who.Path.String()}
	if err := identity.Revoked(ctx, s.cfg.Lowest); err != nil {
		return caller{}, s.refuse(ctx, c.path, method, err.Error())
	}
	if parent, ok := who.Path.Parent(); !ok || parent != s.cfg.Place {
		return caller{}, s.refuse(ctx, c.path, method, fmt.Sprintf("%s is not directly below %s", who.Path, s.cfg.Place))
	}
	if !time.Now().Before(who.NotAfter) {
		return caller{}, status.Error(codes.Unauthenticated, "the certificate that the connection was made with has ended; connect again")
	}
	for _, owner := range owners {
		if !strings.HasPrefix(owner, c.owners()) {
			return caller{}, s.refuse(ctx, c.path, method, fmt.Sprintf("owner: %.128q is not one of %s, whose begin with %s", owner, c.path, c.owners()))
		}
	}
	if !s.rate(c.path).AllowN(time.Now(), min(n, s.cfg.Burst)) {
		return caller{}, status.Errorf(codes.ResourceExhausted, "rate: %s asks more than %.0f times in a second; wait", c.path, s.cfg.Rate)
	}
	if c.ledger = s.cfg.Ledger(); c.ledger == nil {
		return caller{}, s.elsewhere()
	}
	return c, nil
}

// rate is how fast a place may ask.
func (s *service) rate(path string) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rates[path] == nil {
		s.rates[path] = rate.NewLimiter(rate.Limit(s.cfg.Rate), s.cfg.Burst)
	}
	return s.rates[path]
}

// elsewhere says that this process cannot answer.
func (s *service) elsewhere() error {
	leader := ""
	if s.cfg.Leader != nil {
		leader = s.cfg.Leader()
	}
	if leader == "" {
		return status.Error(codes.Unavailable, "the ledger of addresses is not open in this process; try another replica, or again")
	}
	return status.Errorf(codes.Unavailable, "the ledger of addresses is not open in this process; %s leads", leader)
}

func (s *service) refuse(ctx context.Context, actor, method, reason string) error {
	s.cfg.Audit.Record(ctx, audit.Event{Action: audit.PeerRefused, Actor: actor, Subject: "ipam " + method, Result: audit.Refused, Reason: reason})
	return status.Error(codes.PermissionDenied, reason)
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return "unknown"
}

// Allocate gives an owner a prefix.
func (s *service) Allocate(ctx context.Context, m *ipampb.AllocateRequest) (*ipampb.Entry, error) {
	c, err := s.enter(ctx, "Allocate", 1, m.GetOwner())
	if err != nil {
		return nil, err
	}
	results := s.allocate(ctx, c, []*ipampb.AllocateRequest{m})
	if results[0].Err != nil {
		return nil, toStatus(results[0].Err, c.owners())
	}
	return entryOf(results[0].Entry), nil
}

// AllocateBatch gives each owner a prefix, or says why not.
func (s *service) AllocateBatch(ctx context.Context, m *ipampb.AllocateBatchRequest) (*ipampb.AllocateBatchResponse, error) {
	n := len(m.GetRequests())
	if n < 1 || n > MaxBatch {
		return nil, status.Errorf(codes.InvalidArgument, "requests: %d are not between 1 and %d", n, MaxBatch)
	}
	owners := make([]string, n)
	for i, r := range m.GetRequests() {
		owners[i] = r.GetOwner()
	}
	c, err := s.enter(ctx, "AllocateBatch", n, owners...)
	if err != nil {
		return nil, err
	}
	out := &ipampb.AllocateBatchResponse{}
	for _, r := range s.allocate(ctx, c, m.GetRequests()) {
		if r.Err == nil {
			out.Results = append(out.Results, &ipampb.Result{Entry: entryOf(r.Entry)})
			continue
		}
		st := status.Convert(toStatus(r.Err, c.owners()))
		out.Results = append(out.Results, &ipampb.Result{Code: int32(st.Code()), Message: st.Message()})
	}
	return out, nil
}

// allocate makes the requests that are sound and that the quotas leave room for, all at once.
func (s *service) allocate(ctx context.Context, c caller, ms []*ipampb.AllocateRequest) []ledger.Result {
	results := make([]ledger.Result, len(ms))
	ipv6 := map[string]bool{}
	for _, pool := range c.ledger.Pools() {
		ipv6[pool.Name] = pool.IPv6
	}
	var requests []ledger.Request
	var from []int
	charged := map[int]bool{}
	for i, m := range ms {
		r, err := requestOf(m)
		if err == nil {
			charged[i], err = s.account.charge(ctx, c.ledger, c.path, ipv6[r.Pool], r)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		requests, from = append(requests, r), append(from, i)
	}
	for n, result := range c.ledger.AllocateBatch(ctx, requests) {
		i, owner := from[n], requests[n].Owner
		results[i] = result
		var conflict *ledger.Conflict
		switch {
		case result.Err == nil:
			s.account.settle(c.ledger, owner, c.share(result.Entry))
		case errors.As(result.Err, &conflict):
			s.account.settle(c.ledger, owner, c.share(conflict.Holds))
		case charged[i] && !errors.Is(result.Err, ledger.ErrUnknown): // else it may be held
			s.account.settle(c.ledger, owner, share{})
		}
	}
	return results
}

// Release gives back what an owner has.
func (s *service) Release(ctx context.Context, m *ipampb.ReleaseRequest) (*ipampb.Entry, error) {
	c, err := s.enter(ctx, "Release", 1, m.GetOwner())
	if err != nil {
		return nil, err
	}
	e, err := c.ledger.Release(ctx, m.GetOwner())
	if err == nil || errors.Is(err, ledger.ErrNotFound) {
		s.account.settle(c.ledger, m.GetOwner(), share{})
	}
	if err != nil {
		return nil, toStatus(err, c.owners())
	}
	return entryOf(e), nil
}

// Get is what an owner has.
func (s *service) Get(ctx context.Context, m *ipampb.GetRequest) (*ipampb.Entry, error) {
	c, err := s.enter(ctx, "Get", 1, m.GetOwner())
	if err != nil {
		return nil, err
	}
	e, err := c.ledger.Get(ctx, m.GetOwner())
	if err != nil {
		return nil, toStatus(err, c.owners())
	}
	return entryOf(e), nil
}
