package feedgrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
)

// refusedPatience is how long a child with several parents to choose from stays with one that it refuses.
const refusedPatience = 5 * time.Second

// errRefused ends a session with a parent that lags behind what was accepted, when there are others.
var errRefused = errors.New("the parent is behind what was accepted; trying another")

// ClientConfig is how a child reaches its parent.
type ClientConfig struct {
	// Targets are the parent's addresses, HOST:PORT; any of them will do. They are the ones to begin with: the parent
	// tells of others.
	Targets []string
	// Learned is called with the addresses that the parent tells, for a child that keeps them over its own restarts; nil
	// where it does not. It must not block.
	Learned func(addresses []string)
	// Kept are the addresses that Learned was last called with, in an earlier run. Any may be wrong by now: they are
	// forgotten when the parent tells which there are.
	Kept []string
	// Hello is what the child says of itself: Role, Path, Release.
	Hello feed.Hello
	// Credentials are those of the transport, required.
	Credentials credentials.TransportCredentials
	// Session holds the sessions' tunables: Window, CompareEvery, Stats.
	Session feed.Config
	Log     *slog.Logger
}

// Run keeps a session with the parent, one after another, until ctx ends.
func Run(ctx context.Context, cfg ClientConfig, ep Endpoint) error {
	if len(cfg.Targets) == 0 {
		return errors.New("dialling the parent: no address is known")
	}
	if cfg.Credentials == nil {
		return errors.New("dialling the parent: no credentials are given")
	}
	cfg.Session.Hello = cfg.Hello
	if cfg.Session.Stats == nil {
		cfg.Session.Stats = &feed.Stats{}
	}
	r := newRoute(cfg.Targets, cfg.Kept...)
	for {
		address := r.address()
		lasted, err := session(ctx, cfg, r, ep)
		if ctx.Err() != nil {
			return nil
		}
		wait := r.next(attempted(lasted, err))
		if wait == 0 {
			cfg.Session.Stats.Redirects.Add(1)
			cfg.Log.Info("redirected", "from", address, "to", r.address(), "reason", err)
			continue
		}
		cfg.Log.Warn("no session with the parent", "address", address, "err", err, "again_in", wait, "at", r.address())
		if !rest(ctx, wait) {
			return nil
		}
	}
}

// attempted is what the end of an attempt means for the next.
func attempted(lasted time.Duration, err error) attempt {
	a := attempt{lasted: lasted}
	var dismissed *feed.Dismissed
	var unapplied *unapplied
	switch {
	case errors.As(err, &dismissed):
		a.redirect, a.stay = dismissed.Redirect, dismissed.RetryAfter
	case errors.As(err, &unapplied):
		a.own = true
	}
	return a
}

// rest pauses, and tells whether ctx is still on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// session dials the address in turn and runs one session. lasted is for how long the parent took part in it: not while it
// was dialled, nor while the child waited in its line.
func session(ctx context.Context, cfg ClientConfig, r *route, ep Endpoint) (lasted time.Duration, err error) {
	address := r.address()
	client, err := grpc.NewClient("passthrough:///"+address, dialOptions(cfg)...)
	if err != nil {
		return 0, fmt.Errorf("dialling %s: %w", address, err)
	}
	var io sync.WaitGroup
	defer io.Wait()
	defer func() { err = errors.Join(err, client.Close()) }()
	streamCtx, end := context.WithCancel(ctx)
	defer end()
	stream, err := feedpb.NewFeedClient(client).Session(streamCtx)
	if err != nil {
		return 0, fmt.Errorf("dialling %s: %w", address, err)
	}
	c := newConn(streamCtx, stream, &io)
	c.address = address
	c.impatient = func() bool { return len(r.addresses()) > 1 }
	c.learnt = func(addresses []string) {
		r.learn(addresses)
		if cfg.Learned != nil {
			cfg.Learned(addresses)
		}
	}
	err = c.run(cfg.Session, ep)
	return c.lasted(), err
}

// connectPatience is how long a host may take to answer a connection, before another is tried. That a process which is
// busy takes longer to begin a session is no reason to leave it.
const connectPatience = 2 * time.Second

// dialOptions make one connection, tried once, whose peer's end is noticed as keepalive.go says.
func dialOptions(cfg ClientConfig) []grpc.DialOption {
	dialer := net.Dialer{KeepAliveConfig: probes(), Timeout: connectPatience}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(cfg.Credentials),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 5 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: childPings, Timeout: pingPatience}),
	}
}
