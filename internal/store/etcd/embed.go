package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"go.uber.org/zap"

	"github.com/meridian-federation/meridian/internal/certfile"
)

// EmbedConfig says how to run etcd inside this process.
type EmbedConfig struct {
	// Dir holds the data. It is made if it does not exist.
	Dir string
	// Listen is where others reach it: https://HOST:PORT with TLS, http://HOST:PORT (port 0 for any) or unix://PATH. Empty:
	// nothing listens, only this process uses it.
	Listen string
	// TLS is for https: only clients with a certificate from CA are served.
	TLS certfile.Files
	// NoFsync leaves writing to disk to the operating system: a crash of the process loses nothing, one of the machine
	// may. For tests.
	NoFsync bool
	// Quota is how many bytes the data may take before etcd refuses to write. Default 8 GiB, the most that etcd advises.
	Quota int64
	// Log gets what etcd reports.
	Log *slog.Logger
}

// What an embedded server keeps and allows.
const (
	keptRevisions = "10000"
	quotaBytes    = 8 << 30
	// keptEntries are the raft entries kept in memory for members that lag, of which an embedded server has none.
	keptEntries = 100
)

// Server is an etcd server in this process, with no other members.
type Server struct {
	etcd   *embed.Etcd
	lock   *os.File
	scheme string // of the endpoint, where it is none of a socket
}

// Embed starts a server and waits until it serves.
func Embed(ctx context.Context, cfg EmbedConfig) (*Server, error) {
	s, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("starting etcd in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func start(ctx context.Context, cfg EmbedConfig) (*Server, error) {
	ec, err := cfg.etcd()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	e, err := embed.StartEtcd(ec)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	scheme, _, _ := strings.Cut(cfg.Listen, "://")
	s := &Server{etcd: e, lock: lock, scheme: scheme}
	select {
	case <-e.Server.ReadyNotify():
		return s, nil
	case err = <-e.Err():
	case <-e.Server.StopNotify():
		err = errors.New("it stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, s.Close())
}

// Open opens a store on the server, with no network between. Endpoints and TLS of the Config mean nothing here.
func (s *Server) Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opened := newStore(cfg)
	opened.client = v3client.New(s.etcd.Server)
	opened.renewer.client = adapter.LeaseServerToLeaseClient(v3rpc.NewLeaseServer(s.etcd.Server))
	return opened, nil
}

// Endpoint is where others reach the server, empty where nothing listens.
func (s *Server) Endpoint() string {
	if len(s.etcd.Clients) == 0 {
		return ""
	}
	addr := s.etcd.Clients[0].Addr()
	if addr.Network() == "unix" {
		return "unix://" + addr.String()
	}
	return s.scheme + "://" + addr.String()
}

// Done is closed when the server has stopped, by Close or because it could not go on.
func (s *Server) Done() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Close stops the server. The stores that Open made are closed first.
func (s *Server) Close() error {
	s.etcd.Close()
	return s.lock.Close()
}

func (c EmbedConfig) etcd() (*embed.Config, error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ec := embed.NewConfig()
	ec.Name = "meridian"
	ec.Dir = filepath.Join(c.Dir, "etcd")
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(newCore(log)))
	// One member needs no port for others, but a name in the member list.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = nil, []url.URL{peer}
	ec.InitialCluster = ec.Name + "=" + peer.String()
	ec.ListenClientUrls, ec.AdvertiseClientUrls = nil, nil
	if c.Listen != "" {
		u, err := url.Parse(c.Listen)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", c.Listen, err)
		}
		ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{*u}, []url.URL{*u}
		if u.Scheme == "https" {
			ec.ClientTLSInfo = transport.TLSInfo{CertFile: c.TLS.Cert, KeyFile: c.TLS.Key, TrustedCAFile: c.TLS.CA, ClientCertAuth: true}
		}
	}
	ec.UnsafeNoFsync = c.NoFsync
	ec.QuotaBackendBytes = cmp.Or(c.Quota, quotaBytes)
	ec.AutoCompactionMode, ec.AutoCompactionRetention = embed.CompactorModeRevision, keptRevisions
	ec.SnapshotCatchUpEntries = keptEntries
	ec.BootstrapDefragThresholdMegabytes = 100
	// A lone member elects itself; its ticks only matter as the least lease: 1.5 election timeouts.
	ec.TickMs, ec.ElectionMs = 100, 1000
	return ec, nil
}

// lockDir takes a data directory for this process: etcd itself would wait, silently, for another one to end.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process uses it: %w", err), f.Close())
	}
	return f, nil
}
