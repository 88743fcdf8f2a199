package feedgrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
)

// ServerConfig is what a parent serves its children with.
type ServerConfig struct {
	// Hello is what the parent says of itself: Role, Path, Release.
	Hello feed.Hello
	// Identify is the one place where a child's claim is held against what the transport knows of it. Nil believes
	// every claim. ctx ends with the stream, with Close, and when the child comes anew, as Accept's does.
	Identify func(ctx context.Context, claimed feed.Hello) (Identity, error)
	// Valid says why a child may no longer be served, and until when it is not to be asked again, unless by Revalidate; the
	// zero time is until then. It is asked before the child takes its seat and before it is accepted, with the context of its
	// stream. Nil is always.
	Valid func(ctx context.Context, peer Identity) (until time.Time, err error)
	// Accept gives the endpoint for a child. Its error is told to the child and ends the session; a *Redirect sends the
	// child elsewhere. A child that waited in line is accepted once more when its turn comes, since much may have
	// changed.
	Accept func(ctx context.Context, hello feed.Hello, peer Identity) (Endpoint, error)
	// Peers are the addresses at which a child can reach this parent and those that can stand in for it; changed is
	// closed once they are no longer these. Nil tells children nothing.
	Peers func() (addresses []string, changed <-chan struct{})
	// Admission bounds how fast children come, Limits what one of them can cost beside what its Ledger's limits say.
	Admission Admission
	Limits    Limits
	// Session holds the sessions' tunables: Window, CompareEvery, Stats.
	Session feed.Config
	Log     *slog.Logger
}

// Server serves children.
type Server struct {
	feedpb.UnimplementedFeedServer
	cfg    ServerConfig
	gate   *gate
	knocks *knocks
	// running ends with Close. io counts handlers, and receivers and senders, which end after their stream.
	running context.Context
	stop    context.CancelCauseFunc
	io      sync.WaitGroup

	mu    sync.Mutex // guards seats, and running against io
	seats map[string]*seat
}

// seat is the one session of a child.
type seat struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	// valid asks whether it may be served.
	valid func() (until time.Time, err error)
}

// NewServer makes a server; Register it with a gRPC server made with ServerOptions of the same Limits.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Identify == nil {
		cfg.Identify = func(_ context.Context, claimed feed.Hello) (Identity, error) {
			return Identity{Role: claimed.Role, Path: claimed.Path}, nil
		}
	}
	if cfg.Valid == nil {
		cfg.Valid = func(context.Context, Identity) (time.Time, error) { return time.Time{}, nil }
	}
	if cfg.Session.Stats == nil {
		cfg.Session.Stats = &feed.Stats{}
	}
	cfg.Session.Hello = cfg.Hello
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{cfg: cfg, gate: newGate(cfg.Admission, cfg.Session.Stats), knocks: newKnocks(), seats: map[string]*seat{}}
	s.running, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { feedpb.RegisterFeedServer(r, s) }

// Close ends all sessions, waits for what they are applying, and refuses new ones. Call it before stopping the gRPC
// server.
func (s *Server) Close() {
	s.mu.Lock()
	s.stop(errStopping)
	s.mu.Unlock()
	s.io.Wait()
}

var errStopping = errors.New("the parent is stopping")

// enter counts a handler, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running.Err() != nil {
		return false
	}
	s.io.Add(1)
	return true
}

// Session serves one child; gRPC calls it.
func (s *Server) Session(stream feedpb.Feed_SessionServer) error {
	if !s.enter() {
		return status.Error(codes.Unavailable, errStopping.Error())
	}
	defer s.io.Done()
	c := newConn(stream.Context(), stream, &s.io)
	defer c.cancel(nil)
	defer context.AfterFunc(s.running, func() { c.cancel(errStopping) })()
	err := s.serve(c)
	parting, told := goodbye(err)
	if parting.Redirect != "" {
		s.cfg.Session.Stats.Redirects.Add(1)
	}
	if !told || !c.sent() {
		return status.Error(codes.Aborted, err.Error())
	}
	return stream.Send(encode(parting))
}

// dismissal is why a child is not served, or no longer, as it is told.
type dismissal struct{ error }

func (d dismissal) Unwrap() error { return d.error }

// goodbye is what a child is told of the end of its session; told is false where the stream's own end says enough.
func goodbye(err error) (parting feed.Goodbye, told bool) {
	var redirect *Redirect
	var dismissal dismissal
	var away *turnedAway
	var excess *feed.Excess
	switch {
	case errors.As(err, &away):
		parting = feed.Goodbye{Reason: away.Error(), RetryAfter: away.after}
	case errors.As(err, &excess):
		parting = feed.Goodbye{Reason: excess.Error(), RetryAfter: maxStay}
	case errors.Is(err, errMalformed):
		parting = feed.Goodbye{Reason: err.Error(), RetryAfter: maxStay}
	case errors.As(err, &redirect):
		parting = feed.Goodbye{Reason: "another serves this child", Redirect: redirect.Address}
		if redirect.Reason != "" {
			parting.Reason = redirect.Reason
		}
	case errors.As(err, &dismissal):
		parting = feed.Goodbye{Reason: dismissal.Error()}
	default:
		return feed.Goodbye{}, false
	}
	return parting, true
}

func (s *Server) serve(c *conn) error {
	hello, err := awaitHello(c, s.cfg.Limits.Hello)
	if err != nil {
		return dismissal{err}
	}
	peer, err := s.cfg.Identify(c.ctx, hello)
	if err != nil {
		return dismissal{fmt.Errorf("identifying %s: %w", hello.Path, err)}
	}
	c.valid = func() (time.Time, error) { return s.cfg.Valid(c.ctx, peer) }
	if _, err := c.valid(); err != nil { // before it counts as the child, and before it takes the child's seat from another
		return dismissal{err}
	}
	if err := s.knocks.admit(peer.Path, time.Now()); err != nil {
		return dismissal{err}
	}
	seat, err := s.sit(c, peer.Path)
	if err != nil {
		return dismissal{err}
	}
	defer s.rise(peer.Path, seat)
	if c.until, err = c.valid(); err != nil { // Revalidate may have come before there was a seat
		return dismissal{err}
	}
	log := s.cfg.Log.With("peer", peer.Path)
	accept := func() (Endpoint, error) { return s.cfg.Accept(c.ctx, hello, peer) }
	endpoint, leave, err := s.admit(c.ctx, accept)
	var elsewhere *Redirect
	switch {
	case errors.As(err, &elsewhere):
		log.Debug("child sent on", "to", elsewhere.Address)
		return dismissal{err}
	case err != nil:
		log.Warn("child not accepted", "err", err)
		return dismissal{err}
	}
	defer leave()
	defer time.AfterFunc(firstComparison, leave).Stop()
	c.peer, c.peers, c.begun = peer, s.cfg.Peers, leave
	log.Info("child connected", "release", hello.Release)
	err = c.run(s.cfg.Session, endpoint, hello)
	log.Info("child disconnected", "reason", err)
	return err
}

// admit accepts a child and lets it in when its turn comes. Those that belong elsewhere do not wait in line for it.
func (s *Server) admit(ctx context.Context, accept func() (Endpoint, error)) (ep Endpoint, leave func(), err error) {
	if ep, err = accept(); err != nil {
		return Endpoint{}, nil, err
	}
	leave, waited, err := s.gate.pass(ctx)
	if err == nil && waited {
		if ep, err = accept(); err != nil {
			leave()
		}
	}
	return ep, leave, err
}

// Revalidate ends the sessions of children that may no longer be served.
func (s *Server) Revalidate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seat := range s.seats {
		if _, err := seat.valid(); err != nil {
			seat.cancel(dismissal{err})
		}
	}
}

func awaitHello(c *conn, patience time.Duration) (feed.Hello, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case m := <-c.inbox:
		if hello, ok := m.(feed.Hello); ok {
			return hello, nil
		}
		return feed.Hello{}, fmt.Errorf("%T came before Hello", m)
	case <-timer.C:
		return feed.Hello{}, errors.New("no Hello came in time")
	case <-c.ctx.Done():
		return feed.Hello{}, context.Cause(c.ctx)
	}
}

// sit takes the seat of a child, after whoever has it was asked to leave and has left.
func (s *Server) sit(c *conn, path string) (*seat, error) {
	mine := &seat{cancel: c.cancel, done: make(chan struct{}), valid: c.valid}
	for {
		s.mu.Lock()
		other, taken := s.seats[path]
		if !taken {
			s.seats[path] = mine
			s.mu.Unlock()
			return mine, nil
		}
		s.mu.Unlock()
		other.cancel(feed.ErrSuperseded)
		select {
		case <-other.done:
		case <-c.ctx.Done():
			return nil, context.Cause(c.ctx)
		}
	}
}

func (s *Server) rise(path string, mine *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seats, path)
	close(mine.done)
}
