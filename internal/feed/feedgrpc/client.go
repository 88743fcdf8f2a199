package feedgrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
)

// Bounds of the pause before a child dials again, before jitter.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// refusedPatience is how long a child with several parents to choose from stays with one that it refuses.
const refusedPatience = 5 * time.Second

// errRefused ends a session with a parent that lags behind what was accepted, when there are others.
var errRefused = errors.New("the parent is behind what was accepted; trying another")

// ClientConfig is how a child reaches its parent.
type ClientConfig struct {
	// Targets are the parent's addresses, HOST:PORT; any of them will do.
	Targets []string
	// Hello is what the child says of itself: Role, Path, Release.
	Hello feed.Hello
	// Credentials are those of the transport; nil is plain text.
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
	cfg.Session.Hello = cfg.Hello
	if cfg.Credentials == nil {
		cfg.Credentials = insecure.NewCredentials()
	}
	pause := minPause
	target, redirected := 0, ""
	for {
		address := cfg.Targets[target%len(cfg.Targets)]
		if redirected != "" {
			address = redirected
		}
		opened, err := session(ctx, cfg, address, ep)
		if ctx.Err() != nil {
			return nil
		}
		var dismissed *feed.Dismissed
		if errors.As(err, &dismissed) && dismissed.Redirect != "" && redirected == "" {
			cfg.Log.Info("redirected", "from", address, "to", dismissed.Redirect)
			redirected = dismissed.Redirect
			continue
		}
		if redirected == "" {
			target++
		}
		redirected = ""
		if opened {
			pause = minPause
		}
		cfg.Log.Warn("no session with the parent", "address", address, "err", err, "again_in", pause)
		if !rest(ctx, pause) {
			return nil
		}
		pause = min(2*pause, maxPause)
	}
}

// rest pauses for between half of d and d, and tells whether ctx is still on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// session dials one address and runs one session. opened tells whether the parent took part in it.
func session(ctx context.Context, cfg ClientConfig, address string, ep Endpoint) (opened bool, err error) {
	client, err := grpc.NewClient("passthrough:///"+address, dialOptions(cfg)...)
	if err != nil {
		return false, fmt.Errorf("dialling %s: %w", address, err)
	}
	var io sync.WaitGroup
	defer io.Wait()
	defer func() { err = errors.Join(err, client.Close()) }()
	streamCtx, end := context.WithCancel(ctx)
	defer end()
	stream, err := feedpb.NewFeedClient(client).Session(streamCtx)
	if err != nil {
		return false, fmt.Errorf("dialling %s: %w", address, err)
	}
	c := newConn(streamCtx, stream, &io)
	c.impatient = len(cfg.Targets) > 1
	err = c.run(cfg.Session, ep)
	return c.opened, err
}

// dialOptions make one connection, tried once, whose peer's end is noticed within seconds: by the kernel where the
// host is gone or cut off (gRPC lets clients ping every ten seconds at most), by pings where the process hangs.
func dialOptions(cfg ClientConfig) []grpc.DialOption {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second,
		Interval: time.Second, Count: 3}}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(cfg.Credentials),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 5 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
	}
}
