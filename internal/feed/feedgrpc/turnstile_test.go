package feedgrpc_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/question"
)

// port is a zone's, at which many knock.
type port struct {
	t       *testing.T
	root    *identitytest.Root
	address string
	refused chan error
}

var zonePath = question.Path{Region: "west", Zone: "a"}

func newPort(t *testing.T, limits feedgrpc.Limits) *port {
	t.Helper()
	p := &port{t: t, root: identitytest.Must(identitytest.Options{}), refused: make(chan error, 100)}
	own, err := p.root.Authority(zonePath)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = listener.Addr().String()
	creds := feedgrpc.Credentials(credentials.NewTLS(identity.ServerTLS(own.Source(), nil, nil)), limits,
		func(_ net.Addr, err error) { p.refused <- err })
	server := grpc.NewServer(append(feedgrpc.ServerOptions(limits), grpc.Creds(creds))...)
	feeds := feedgrpc.NewServer(feedgrpc.ServerConfig{Hello: feed.Hello{Role: "zone"}, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	feeds.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(feedgrpc.Listener(listener, limits, nil)) }()
	t.Cleanup(func() {
		feeds.Close()
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return p
}

// knock makes a connection from an address of this host, as a cluster or, with no name, as a stranger, and returns nil if it
// is closed at once.
func (p *port) knock(from, cluster string) net.Conn {
	p.t.Helper()
	roots, err := p.root.Authority(zonePath)
	if err != nil {
		p.t.Fatal(err)
	}
	cfg := identity.VisitorTLS(roots.Source().TrustDomain(), roots.Source().Roots(), zonePath)
	if cluster != "" {
		source, err := p.root.Source(question.Path{Region: "west", Zone: "a", Cluster: cluster})
		if err != nil {
			p.t.Fatal(err)
		}
		cfg.GetClientCertificate = tlsconfig.GetClientCertificate(source)
	}
	dialer := &tls.Dialer{Config: cfg, NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}}
	conn, err := dialer.DialContext(p.t.Context(), "tcp", p.address)
	if err != nil {
		return nil
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 9)); err != nil { // the head of the server's first frame
		_ = conn.Close()
		return nil
	}
	return conn
}

// TestConnectionsOfOne has one of each kind make as many connections as it can: they are closed beyond its share, others are
// served, and it is again when one of its own has gone.
func TestConnectionsOfOne(t *testing.T) {
	tests := map[string]struct {
		limits        feedgrpc.Limits
		from, cluster string
		// others are served meanwhile.
		others [][2]string
	}{
		"an address": {feedgrpc.Limits{PerAddress: 3}, "127.0.0.2", "c", [][2]string{{"127.0.0.1", "c"}, {"127.0.0.1", ""}}},
		"a peer":     {feedgrpc.Limits{PerPeer: 3}, "127.0.0.1", "c", [][2]string{{"127.0.0.1", "d"}, {"127.0.0.1", ""}}},
		"a stranger": {feedgrpc.Limits{Strangers: 3 * 8}, "127.0.0.2", "", [][2]string{{"127.0.0.1", ""}, {"127.0.0.2", "c"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPort(t, tt.limits)
			var held []net.Conn
			for len(held) < 10 {
				c := p.knock(tt.from, tt.cluster)
				if c == nil {
					break
				}
				held = append(held, c)
			}
			if len(held) != 3 {
				t.Fatalf("it has %d connections, want 3", len(held))
			}
			for _, other := range tt.others {
				if p.knock(other[0], other[1]) == nil {
					t.Errorf("%q at %s is closed, want it served", other[1], other[0])
				}
			}
			_ = held[0].Close()
			for began := time.Now(); p.knock(tt.from, tt.cluster) == nil; {
				if time.Since(began) > 30*time.Second {
					t.Fatal("it is not served again when one of its connections has gone")
				}
			}
		})
	}
}

// TestStrangersTogether has strangers come from many addresses: together they take their share and no more.
func TestStrangersTogether(t *testing.T) {
	p := newPort(t, feedgrpc.Limits{Strangers: 2})
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		if p.knock(from, "") == nil {
			t.Fatalf("the stranger at %s is closed, want it served", from)
		}
	}
	if p.knock("127.0.0.4", "") != nil {
		t.Error("one stranger too many is served, want it closed")
	}
	if len(p.refused) == 0 {
		t.Error("nobody is told of it")
	}
	if p.knock("127.0.0.4", "c") == nil {
		t.Error("a child is closed, want it served")
	}
}

// TestStrangersDoNotStay holds that a stranger's connection is closed after a while, and a child's is not.
func TestStrangersDoNotStay(t *testing.T) {
	p := newPort(t, feedgrpc.Limits{Visit: soon, Handshake: time.Hour})
	child, stranger := p.knock("127.0.0.1", "c"), p.knock("127.0.0.1", "")
	if child == nil || stranger == nil {
		t.Fatal("they are not served")
	}
	if _, err := io.Copy(io.Discard, stranger); timedOut(err) {
		t.Errorf("the stranger's connection ends with %v, want it closed by the server", err)
	}
	if err := child.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, child); !timedOut(err) {
		t.Errorf("the child's connection ends with %v, want it open", err)
	}
}
