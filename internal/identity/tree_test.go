package identity_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/enrol"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree is a Global, a region, a zone and an agent, of which nothing runs but their identities, over real sockets.
type tree struct {
	t        *testing.T
	register *enrol.Register
	mirror   *store.Mirror
	lives    identity.Lives
	trail    *trail // the audit log of all
	dirs     string
	pin      string
	procs    map[question.Path]*process
}

// trail is what was recorded.
type trail struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *trail) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *trail) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// process is one process's identity, kept and served.
type process struct {
	*identity.Identity
	address string
	stop    func()
	stopped bool
}

func newTree(t *testing.T, lives identity.Lives) *tree {
	t.Helper()
	s, log := mem.New(), slog.New(slog.DiscardHandler)
	mirror := store.NewMirror(s, log)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = mirror.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	if err := mirror.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	term, err := s.Campaign(t.Context(), "global-0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{t: t, register: enrol.New(mirror, log), mirror: mirror, lives: lives, trail: &trail{}, dirs: t.TempDir(),
		procs: map[question.Path]*process{}}
	writer := store.NewWriter(s, mirror, term)
	wg.Go(func() { _ = tr.register.Lead(ctx, writer) })
	if _, err := tr.register.Settle(t.Context(), enrol.NewPlaces([]question.Path{regionPath, zonePath, clusterPath}, nil)); err != nil {
		t.Fatal(err)
	}
	tr.start(globalPath)
	tr.pin = identity.Pin(tr.procs[globalPath].Source.Roots()[0])
	return tr
}

// await waits for a condition that must come about.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // the interval at which the condition is looked at
	}
}

// token writes a token for a place to a file.
func (tr *tree) token(path question.Path, mode string) string {
	tr.t.Helper()
	var token identity.Token
	await(tr.t, "the register leads, and makes a token", func() (ok bool) {
		var err error
		token, _, err = tr.register.Create(tr.t.Context(), question.TokenRequest{Target: path, TTLSeconds: 3600, Uses: 1, Mode: mode}, "ann")
		return err == nil
	})
	file := filepath.Join(tr.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token.Text()+"\n"), 0o600); err != nil {
		tr.t.Fatal(err)
	}
	return file
}

// config is that of a process of a place, in the folder of the first one.
func (tr *tree) config(path question.Path, tokenFile string) identity.Config {
	cfg := identity.Config{Path: path, Log: slog.New(slog.NewTextHandler(tr.t.Output(), nil)).With("at", path),
		Identity: config.Identity{Dir: filepath.Join(tr.dirs, strings.ReplaceAll(path.String(), "/", "-")), TokenFile: tokenFile,
			Pin: []string{tr.pin}, CALifetime: tr.lives.CA, LeafLifetime: tr.lives.Leaf}}
	cfg.Default()
	if above, ok := path.Parent(); ok && tr.procs[above] != nil {
		cfg.Parents = []string{tr.procs[above].address}
	}
	return cfg
}

// start opens, keeps and serves the process of a place as it is configured there.
func (tr *tree) start(path question.Path, tokenFile ...string) *process {
	tr.t.Helper()
	p, err := tr.open(tr.config(path, strings.Join(tokenFile, "")))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.procs[path] = p
	return p
}

// grow starts the processes of all places below Global, each enrolled by a token.
func (tr *tree) grow() {
	tr.t.Helper()
	for _, path := range []question.Path{regionPath, zonePath, clusterPath} {
		tr.start(path, tr.token(path, question.TokenNew))
	}
}

// lowest goes by the grants, as tiers do.
func (tr *tree) lowest(path question.Path) uint64 {
	e, ok := tr.mirror.Snapshot().Get(record.GrantKey(path.String()))
	if !ok {
		return 0
	}
	g, err := record.DecodeGrant(e.Record)
	if err != nil {
		tr.t.Error(err)
	}
	return g.Generation
}

func (tr *tree) open(cfg identity.Config) (*process, error) {
	id, err := identity.Open(tr.t.Context(), cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(tr.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := id.Run(ctx); err != nil {
			tr.t.Errorf("keeping the identity of %s: %v", cfg.Path, err)
		}
	})
	p := &process{Identity: id}
	stopServer := func() {}
	if id.Authority != nil {
		stopServer = tr.serve(p, cfg, &wg)
	}
	p.stop = sync.OnceFunc(func() { cancel(); stopServer(); wg.Wait(); p.stopped = true })
	tr.t.Cleanup(p.stop)
	return p, nil
}

func (tr *tree) serve(p *process, cfg identity.Config, wg *sync.WaitGroup) func() {
	address := "127.0.0.1:0"
	if before := tr.procs[cfg.Path]; before != nil && before.stopped {
		address = before.address
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		tr.t.Fatal(err)
	}
	service := identity.ServiceConfig{Authority: p.Authority, Lowest: tr.lowest, Audit: audit.To(tr.trail), Log: cfg.Log}
	if cfg.Path.Tier() == question.TierGlobal {
		service.Redeemer = tr.register
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.ServerTLS(p.Source, tr.lowest, nil))))
	identity.Serve(server, service)
	wg.Go(func() { _ = server.Serve(listener) })
	p.address = listener.Addr().String()
	return server.Stop
}

// met tells whether a client's place can dial a server's.
func (tr *tree) met(client, server question.Path) error {
	got := shake(tr.t, identity.ServerTLS(tr.procs[server].Source, tr.lowest, nil), identity.ClientTLS(tr.procs[client].Source, server, nil))
	if got.server != nil {
		return got.server
	}
	return got.client
}

func (tr *tree) wantMet() {
	tr.t.Helper()
	for _, child := range []question.Path{regionPath, zonePath, clusterPath} {
		parent, _ := child.Parent()
		if err := tr.met(child, parent); err != nil {
			tr.t.Errorf("%s dials %s: %v", child, parent, err)
		}
	}
}

// private wants all files of all processes to be their owner's alone.
func (tr *tree) private() {
	tr.t.Helper()
	err := filepath.WalkDir(tr.dirs, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == tr.dirs {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			tr.t.Errorf("%s has mode %s, want it closed to others", path, info.Mode())
		}
		return err
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}
