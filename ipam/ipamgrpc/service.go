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
	"fmt"
	"log/slog"
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
	// Ledger is the place's, while this process leads, has it open, and knows what places below were told; else nil.
	Ledger func() *ledger.Ledger
	// Leader is the ID of the process that leads, as far as it is known; nil: it is not.
	Leader func() string
	// Lowest is by which certificates are refused that are revoked.
	Lowest identity.Lowest
	// Left tells of a place right below, by its path, whether it has left the inventory for good; nil: none has. It gets nothing, for
	// what it has is released.
	Left   func(path string) bool
	Limits Limits
	// Rate is how many requests a caller may make in a second for long, after Burst at once; 0 is no limit.
	Rate  float64
	Burst int
	// Audit is told who was refused.
	Audit *audit.Log
	// Log may be nil.
	Log *slog.Logger
}

// Service answers while Run runs; else it says that it cannot.
type Service struct {
	ipampb.UnimplementedIPAMServer
	cfg Config
	// uncounted holds the newest account, until Run begins to count it.
	uncounted chan *account

	mu       sync.Mutex // guards all below; of rates and watching there is one for each place right below
	account  *account   // of the ledger that was open last
	rates    map[string]*rate.Limiter
	watching map[string]bool
}

// New makes a service; Run it, and Register it where it is to be reached.
func New(cfg Config) *Service {
	cfg.Limits.Default()
	if cfg.Left == nil {
		cfg.Left = func(string) bool { return false }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Rate <= 0 {
		cfg.Rate, cfg.Burst = float64(rate.Inf), MaxBatch
	}
	return &Service{cfg: cfg, uncounted: make(chan *account, 1), rates: map[string]*rate.Limiter{}, watching: map[string]bool{}}
}

// Register serves on a server whose connections were made with identity.ServerTLS.
func (s *Service) Register(reg grpc.ServiceRegistrar) { ipampb.RegisterIPAMServer(reg, s) }

// Run counts what is held, once for each ledger that is open, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		select {
		case a := <-s.uncounted:
			a.load(ctx, a.ledger, s.cfg.Log)
		case <-ctx.Done():
			return nil
		}
	}
}

// open is the account of the ledger that is open; nil where none is.
func (s *Service) open() *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.cfg.Ledger()
	if l == nil {
		return nil
	}
	if s.account == nil || s.account.ledger != l {
		if s.account != nil {
			close(s.account.count.replaced)
		}
		s.account = newAccount(l, s.cfg)
		select {
		case <-s.uncounted: // of a ledger that is no longer open
		default:
		}
		s.uncounted <- s.account
	}
	return s.account
}

// caller is who calls, let in, with the ledger that is open and its account.
type caller struct {
	path    string
	ledger  *ledger.Ledger
	account *account
	left    func(path string) bool
}

// owners is what its owners begin with.
func (c caller) owners() string { return local + c.path + "/" }

// share is what an entry counts as.
func (c caller) share(e ledger.Entry) share {
	return share{c.path, e.Tenant, size(e.Prefix.Addr().Is6(), e.Prefix.Bits())}
}

// enter lets a caller in who may ask for n things of owners, or what owners begin with.
func (s *Service) enter(ctx context.Context, method string, n int, owners ...string) (caller, error) {
	who, err := identity.PeerOf(ctx)
	if err != nil {
		return caller{}, s.refuse(ctx, address(ctx), method, err.Error())
	}
	c := caller{path: who.Path.String(), left: s.cfg.Left}
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
	if s.cfg.Left(c.path) { // its certificate counts, so that it is about to come back
		return caller{}, away(c.path)
	}
	if c.account = s.open(); c.account == nil {
		return caller{}, s.elsewhere()
	}
	c.ledger = c.account.ledger
	return c, nil
}

func away(path string) error {
	return status.Errorf(codes.Unavailable, "%s is not in the inventory, as far as is known here; try again", path)
}

// rate is how fast a place may ask.
func (s *Service) rate(path string) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rates[path] == nil {
		s.rates[path] = rate.NewLimiter(rate.Limit(s.cfg.Rate), s.cfg.Burst)
	}
	return s.rates[path]
}

// elsewhere says that this process cannot answer.
func (s *Service) elsewhere() error {
	leader := ""
	if s.cfg.Leader != nil {
		leader = s.cfg.Leader()
	}
	if leader == "" {
		return status.Error(codes.Unavailable, "the ledger of addresses is not open in this process; try another replica, or again")
	}
	return status.Errorf(codes.Unavailable, "the ledger of addresses is not open in this process; %s leads", leader)
}

func (s *Service) refuse(ctx context.Context, actor, method, reason string) error {
	s.cfg.Audit.Record(ctx, audit.Event{Action: audit.PeerRefused, Actor: actor, Subject: "ipam " + method, Result: audit.Refused, Reason: reason})
	return status.Error(codes.PermissionDenied, reason)
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return "unknown"
}

// Get is what an owner has.
func (s *Service) Get(ctx context.Context, m *ipampb.GetRequest) (*ipampb.Entry, error) {
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
