package children_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

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

// counted is what was counted of each reason.
func (r *tier) counted() map[string]float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "meridian_connections_refused_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			out[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return out
}

// TestRevokedConnectionIsClosed: a connection of a place that was revoked does not stay, though nothing is asked on it, and
// another's does.
func TestRevokedConnectionIsClosed(t *testing.T) {
	r := newTier(t, question.Path{Region: "west"}, identitytest.Options{})
	conns := map[string]*grpc.ClientConn{}
	for _, zone := range []string{"a", "b"} {
		source, err := r.root.Source(question.Path{Region: "west", Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		conns[zone] = r.standing(source)
	}
	if got := r.counted(); len(got) != 6 || got[identity.CauseRevoked] != 0 {
		t.Fatalf("at first: got %v, want no refusal, of six reasons", got)
	}
	r.grant("region/west/zone/a", 1)
	if !conns["a"].WaitForStateChange(t.Context(), connectivity.Ready) {
		t.Error("the connection of the revoked still stands")
	}
	if got := conns["b"].GetState(); got != connectivity.Ready {
		t.Errorf("the connection of another is %s, want it to stand", got)
	}
	if got := r.counted()[identity.CauseRevoked]; got != 1 {
		t.Errorf("counted: got %v, want 1", got)
	}
}

// TestRefusalsAreCounted by why.
func TestRefusalsAreCounted(t *testing.T) {
	zone := question.Path{Region: "west", Zone: "a"}
	other := identitytest.Must(identitytest.Options{})
	for reason, knocks := range map[string]func(*testing.T, *tier) *identity.Source{
		identity.CauseAuthority: func(t *testing.T, _ *tier) *identity.Source {
			source, err := other.Source(zone)
			if err != nil {
				t.Fatal(err)
			}
			return source
		},
		identity.CauseRevoked: func(t *testing.T, r *tier) *identity.Source {
			r.grant(zone.String(), 1)
			source, err := r.root.Source(zone)
			if err != nil {
				t.Fatal(err)
			}
			return source
		},
		"claim": func(t *testing.T, r *tier) *identity.Source {
			source, err := r.root.Source(question.Path{Region: "west", Zone: "a", Cluster: "c"})
			if err != nil {
				t.Fatal(err)
			}
			return source
		},
	} {
		t.Run(reason, func(t *testing.T) {
			r := newTier(t, question.Path{Region: "west"}, identitytest.Options{})
			source := knocks(t, r)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: []string{r.address}, Log: slog.New(slog.DiscardHandler),
					Credentials: shows(t, source, r), Hello: feed.Hello{Role: string(source.Path().Tier()), Path: source.Path().String()}}, feedgrpc.Endpoint{Ledger: newLedger()})
			}()
			await(t, "it is counted", func() bool { return r.counted()[reason] > 0 })
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			for other, n := range r.counted() {
				if other != reason && n > 0 {
					t.Errorf("counted as %s: got %v, want none", other, n)
				}
			}
		})
	}
}

// TestChildLeavesAReplacedParent: a child whose records say that its parent's place has another generation ends what stands to
// the old one, and comes back to it no more.
func TestChildLeavesAReplacedParent(t *testing.T) {
	r := newTier(t, question.Path{Region: "west"}, identitytest.Options{})
	source, err := r.root.Source(question.Path{Region: "west", Zone: "a"})
	if err != nil {
		t.Fatal(err)
	}
	s := mem.New()
	log := &said{}
	mirror := store.NewMirror(s, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 3)
	go func() { _ = mirror.Run(ctx); ran <- nil }()
	go func() { ran <- children.Heed(ctx, mirror, source, slog.New(slog.NewTextHandler(log, nil))) }()
	go func() {
		ran <- feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: []string{r.address}, Log: slog.New(slog.NewTextHandler(log, nil)),
			Credentials: identity.ClientCredentials(source, r.path, nil),
			Hello:       feed.Hello{Role: "zone", Path: source.Path().String()}}, feedgrpc.Endpoint{Ledger: newLedger()})
	}()
	t.Cleanup(func() {
		cancel()
		for range 3 {
			if err := <-ran; err != nil {
				t.Error(err)
			}
		}
	})
	r.connected(source)
	if err := mirror.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	term, err := s.Campaign(t.Context(), "zone")
	if err != nil {
		t.Fatal(err)
	}
	writer := store.NewWriter(s, mirror, term)
	put := func(path string, generation uint64) {
		t.Helper()
		if _, err := writer.Apply(t.Context(), []store.Write{{Record: record.Grant{Path: path, Generation: generation}.Record()}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	put("region/east", 7)
	put("region/west", 0)
	if len(r.ended) > 0 {
		t.Fatalf("%s, though its parent counts", <-r.ended)
	}
	put("region/west", 1)
	<-r.ended
	await(t, "it refuses the parent that it comes to again", func() bool {
		return strings.Contains(log.String(), "region/west is revoked: its generation is 0, and 1 is the lowest")
	})
	if !strings.Contains(log.String(), "left a parent that was replaced") {
		t.Errorf("said: %s", log)
	}
}

// metricsOf are a tier's, in a registry of their own.
func metricsOf(r *tier) *children.Refusals {
	r.metrics = prometheus.NewPedanticRegistry()
	return children.NewRefusals(r.metrics)
}

// said is what was logged.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// shows are the credentials of a child that believes the tier and shows a certificate that the tier may not.
func shows(t *testing.T, source *identity.Source, r *tier) credentials.TransportCredentials {
	t.Helper()
	certificate, err := identitytest.Certificate(source)
	if err != nil {
		t.Fatal(err)
	}
	cfg := identity.VisitorTLS(source.TrustDomain(), r.root.Roots(), r.path)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	return credentials.NewTLS(cfg)
}
