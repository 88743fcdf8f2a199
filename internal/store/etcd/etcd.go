// Package etcd is the record store on etcd: an external cluster (Dial) or a server in this process (Embed).
//
// Everything is under one prefix, so that several tiers may share a cluster:
//
//	PREFIX/records/KIND/NAME    a record: envelope and content
//	PREFIX/meta/NAME            a meta value
//	PREFIX/last                 written by every Commit: its revision is the position, its value says why each removed
//	                            key went away (an etcd deletion carries no value)
//	PREFIX/epoch                the history's name, drawn when the store is first used
//	PREFIX/roster/leader        the leader's id, on its lease; its modification revision names the term
//	PREFIX/roster/members/ID    a member's description as JSON, on its lease
//	PREFIX/roster/claims/NAME   a claim's owner; its modification revision is the fence
//	PREFIX/space/               the ledger of addresses, of package ipam/ledger
//
// The roster comes after all of the records, so that one watch follows those and another the roster, each one range. The
// ledger is behind both, so that neither is told of it.
//
// Only tiers that keep a store import this package; the cluster agent never does.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/store"
)

const (
	// requestTimeout ends a request that etcd neither answers nor refuses.
	requestTimeout = 10 * time.Second
	// closeTimeout is how long Close waits for an etcd that may be gone.
	closeTimeout = 2 * time.Second
	// window is how many bytes etcd may send ahead of what was read.
	window = 4 << 20
)

// Config says how to reach and use a store.
type Config struct {
	// Endpoints of an external cluster, as http(s)://HOST:PORT or unix://PATH.
	Endpoints []string
	// TLS is for https endpoints; without it the system's authorities are believed, and no certificate is shown.
	TLS *certfile.Source
	// Username and Password, where the cluster asks for them.
	Username, Password string
	// Prefix is where the store is in the cluster's keys. Default /meridian.
	Prefix string
	// TTL is the leader's lease: how long after a leader's death another one waits. Default 5 s, which a busy machine
	// does not lose by accident; etcd's own minimum is 1.5 election timeouts. Whole seconds.
	TTL time.Duration
	// Log gets what etcd's client reports.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "/meridian"
	}
	if c.TTL == 0 {
		c.TTL = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.TTL < 0 || c.TTL%time.Second != 0 {
		errs = append(errs, fmt.Errorf("lease of %v: want whole seconds", c.TTL))
	}
	if (c.Username == "") != (c.Password == "") {
		errs = append(errs, errors.New("a user name and a password go together"))
	}
	return errors.Join(errs...)
}

// Store is one handle on a store in etcd.
type Store struct {
	client  *clientv3.Client
	links   links
	renewer *renewer
	keys    layout
	ttl     time.Duration
	log     *slog.Logger
	epoch   atomic.Uint64 // as last read

	ctx  context.Context // ends with Close; holdings live in it
	stop context.CancelFunc
	once sync.Once

	mu       sync.Mutex
	holdings map[*holding]struct{} // guarded by mu; those that have not ended
	closing  bool                  // guarded by mu; nothing is added to holdings and work any more
	work     sync.WaitGroup        // the holdings' goroutines, and calls that are about to hold something
}

var _ store.Store = (*Store)(nil)

var errClosed = errors.New("store closed")

// Dial opens a store on an external cluster. It does not wait for a connection: requests do.
func Dial(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoints")
	}
	s := newStore(cfg)
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            cfg.Endpoints,
		Username:             cfg.Username,
		Password:             cfg.Password,
		DialKeepAliveTime:    5 * time.Second, // not below what etcd's servers allow
		DialKeepAliveTimeout: 3 * time.Second,
		DialOptions:          s.dialOptions(cfg.TLS),
		Logger:               zap.New(newCore(cfg.Log)),
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("connecting to etcd at %v: %w", cfg.Endpoints, err)
	}
	s.client, s.renewer.client = client, clientv3.RetryLeaseClient(client)
	return s, nil
}

// reconnect is how connections to an etcd that went away are tried again; gRPC by itself would let up to two minutes
// pass between two attempts.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 3 * time.Second,
}

func (s *Store) dialOptions(from *certfile.Source) []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithConnectParams(reconnect),
		grpc.WithStatsHandler(&s.links),
		// Windows of a set size spare the pings by which gRPC would find one, one for each answer.
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(window),
	}
	if from != nil {
		options = append(options, grpc.WithTransportCredentials(newFreshTLS(from, s.log)))
	}
	return options
}

// newStore makes a store that has no client yet.
func newStore(cfg Config) *Store {
	ctx, stop := context.WithCancel(context.Background())
	return &Store{
		renewer:  newRenewer(cfg.Log),
		keys:     newLayout(cfg.Prefix),
		ttl:      cfg.TTL,
		log:      cfg.Log,
		ctx:      ctx,
		stop:     stop,
		holdings: map[*holding]struct{}{},
	}
}

// Client is the store's connection, and Prefix where its keys are, for what a tier keeps beside records. The client is the
// store's and ends with it.
func (s *Store) Client() *clientv3.Client { return s.client }

// Prefix has no slash at its end.
func (s *Store) Prefix() string { return strings.TrimSuffix(s.keys.root, "/") }

// Close implements store.Store.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		for _, h := range s.end() {
			if err := h.release(ctx); err != nil {
				s.log.Warn("a lease has to expire", "key", h.key, "error", err)
			}
		}
		s.stop()
		s.work.Wait()
		if err = s.client.Close(); errors.Is(err, context.Canceled) {
			err = nil // the client reports that its own context has ended
		}
	})
	return err
}

// end lets nothing be held any more, and returns what is.
func (s *Store) end() []*holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	return slices.Collect(maps.Keys(s.holdings))
}
