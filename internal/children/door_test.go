package children_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// tier is a parent at a place with an authority, whose grants a test writes.
type tier struct {
	t       *testing.T
	path    question.Path
	root    *identitytest.Root
	own     *identity.Authority
	address string
	table   *children.Table
	trail   *audittest.Recorder
	writer  *store.Writer
	mirror  *store.Mirror
	ended   chan string
	metrics *prometheus.Registry
}

func newTier(t *testing.T, path question.Path, o identitytest.Options) *tier {
	t.Helper()
	root, err := identitytest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	own, err := root.Authority(path)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := mem.New()
	log := slog.New(slog.DiscardHandler)
	r := &tier{t: t, path: path, root: root, own: own, address: listener.Addr().String(), table: children.NewTable(), trail: &audittest.Recorder{},
		mirror: store.NewMirror(s, log), ended: make(chan string, 100)}
	cfg := children.Config{May: children.Child(path), Identity: own.Source(), Authority: own, Mirror: r.mirror,
		Audit: r.trail.Log(), Refusals: metricsOf(r), Feed: feedgrpc.ServerConfig{Log: log, Hello: feed.Hello{Role: "region"},
			Accept: func(_ context.Context, hello feed.Hello, _ feedgrpc.Identity) (feedgrpc.Endpoint, error) {
				return r.table.Watch(hello.Path, feedgrpc.Endpoint{Outbox: feed.NewOutbox(), Ledger: newLedger(),
					Closed: func(err error) { r.ended <- hello.Path + ": " + err.Error() }}), nil
			}}}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 2)
	go func() { ran <- children.Serve(ctx, listener, cfg) }()
	go func() { _ = r.mirror.Run(ctx); ran <- nil }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ran; err != nil {
				t.Error(err)
			}
		}
	})
	if err := r.mirror.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	term, err := s.Campaign(t.Context(), "leader")
	if err != nil {
		t.Fatal(err)
	}
	r.writer = store.NewWriter(s, r.mirror, term)
	return r
}

// grant has certificates of a place below a generation refused.
func (r *tier) grant(path string, generation uint64) {
	r.t.Helper()
	g := record.Grant{Path: path, Generation: generation}.Record()
	if _, err := r.writer.Apply(r.t.Context(), []store.Write{{Record: g}}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// child runs a child until the test ends, and returns its identity, which the test may renew.
func (r *tier) child(path question.Path) *identity.Source {
	r.t.Helper()
	source, err := r.root.Source(path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.run(source)
	return source
}

// run runs a child with an identity until the test ends.
func (r *tier) run(source *identity.Source) {
	r.t.Helper()
	path := source.Path()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: []string{r.address}, Log: slog.New(slog.DiscardHandler),
			Credentials: credentials.NewTLS(identity.ClientTLS(source, r.path, nil)),
			Hello:       feed.Hello{Role: string(path.Tier()), Path: path.String()}}, feedgrpc.Endpoint{Ledger: newLedger()})
	}()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.connected(source)
}

// connected waits until a child is there; its certificate and the parent's are renewed meanwhile.
func (r *tier) connected(source *identity.Source) {
	r.t.Helper()
	await(r.t, source.Path().String()+" is there", func() bool {
		for _, s := range []*identity.Source{source, r.own.Source()} {
			if time.Until(s.Status().NotAfter) > time.Second {
				continue
			}
			if err := r.root.Renew(s); err != nil {
				r.t.Fatal(err)
			}
		}
		return r.table.Connected(source.Path().String())
	})
}

// TestRevokedPlace holds that the session of a place ends as soon as its grant rises, that it is not let in again, and that
// another's session goes on.
func TestRevokedPlace(t *testing.T) {
	tests := map[string]string{"its own": "region/west/zone/a", "the one above": "region/west"}
	for name, revoked := range tests {
		t.Run(name, func(t *testing.T) {
			r := newTier(t, question.Path{Region: "west"}, identitytest.Options{})
			r.child(question.Path{Region: "west", Zone: "a"})
			r.grant("region/west/zone/b", 7)
			r.grant("region/west/zone/a", 0)
			if len(r.ended) > 0 {
				t.Fatalf("%s, though no grant is above its certificate", <-r.ended)
			}
			r.grant(revoked, 1)
			if got := <-r.ended; !strings.HasPrefix(got, "region/west/zone/a: ") || !strings.Contains(got, "revoked") {
				t.Errorf("the session that ended: got %q, want that of a, as revoked", got)
			}
			if events := r.trail.Events(audit.PlaceRevoked); len(events) == 0 || events[0].Subject != "region/west/zone/a" {
				t.Errorf("audited: %+v, want that zone a is revoked", events)
			}
			await(t, "it is refused when it comes again", func() bool { return len(r.trail.Events(audit.PeerRefused)) > 0 })
			if r.table.Connected("region/west/zone/a") {
				t.Error("it is let in again, want it refused")
			}
		})
	}
}

// TestSessionEndsWithItsCertificate holds that a session ends when its certificate does, and that the child is back with the
// one that it has by then.
func TestSessionEndsWithItsCertificate(t *testing.T) {
	r := newTier(t, question.Path{Region: "west", Zone: "a"}, identitytest.Options{Lives: identity.Lives{CA: time.Hour, Leaf: 2 * time.Second}})
	source := r.child(question.Path{Region: "west", Zone: "a", Cluster: "c"})
	if got := <-r.ended; !strings.Contains(got, "has ended") {
		t.Errorf("the session ended with %q, want that its certificate has ended", got)
	}
	r.connected(source)
}

// TestSessionOutlastsItsCertificate holds that a session goes on past its certificate while the parent has issued its place a
// later one: here that of the zone's own authority.
func TestSessionOutlastsItsCertificate(t *testing.T) {
	r := newTier(t, question.Path{Region: "west"}, identitytest.Options{Lives: identity.Lives{CA: time.Hour, Leaf: 2 * time.Second}})
	source := r.child(question.Path{Region: "west", Zone: "a"})
	ends := source.Status().NotAfter
	await(t, "its certificate has ended", func() bool { return time.Now().After(ends.Add(time.Second)) })
	if !r.table.Connected("region/west/zone/a") || len(r.ended) > 0 {
		t.Error("its session ended, want it to go on")
	}
}
