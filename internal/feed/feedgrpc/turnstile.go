package feedgrpc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/origin"
)

// ErrLimit is a connection for which there was no room.
var ErrLimit = errors.New("too many connections")

// crowded is an ErrLimit that says whose.
type crowded string

func (c crowded) Error() string        { return string(c) }
func (c crowded) Is(target error) bool { return target == ErrLimit }

func crowdedBy(format string, args ...any) error { return crowded(fmt.Sprintf(format, args...)) }

// Credentials are a server's, which bound the connections of each once it is known who that is: those of one certificate's
// name, and those of strangers, who show none with a name and do not stay. refused is told of those who are closed for
// it; nil is nobody.
func Credentials(creds credentials.TransportCredentials, limits Limits, refused func(from net.Addr, err error)) credentials.TransportCredentials {
	limits = limits.withDefaults()
	if refused == nil {
		refused = func(net.Addr, error) {}
	}
	return turnstile{TransportCredentials: creds, visit: limits.Visit, refused: refused, peers: newCrowd[string](limits.PerPeer),
		strangers: newCrowd[struct{}](limits.Strangers), origins: newCrowd[netip.Prefix](max(1, limits.Strangers/8))}
}

type turnstile struct {
	credentials.TransportCredentials
	visit     time.Duration
	refused   func(from net.Addr, err error)
	peers     *crowd[string]
	strangers *crowd[struct{}]
	origins   *crowd[netip.Prefix] // of the strangers
}

// ServerHandshake counts a connection until it is closed.
func (t turnstile) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	enter := t.stranger
	if name := nameOf(info); name != "" {
		enter = func(net.Conn) (func(), error) { return t.peer(name) }
	}
	leave, err := enter(c)
	if err != nil {
		t.refused(raw.RemoteAddr(), err)
		_ = c.Close()
		return nil, nil, err
	}
	return &connection{Conn: c, leave: sync.OnceFunc(leave)}, info, nil
}

func (t turnstile) peer(name string) (leave func(), err error) {
	leave, ok := t.peers.enter(name)
	if !ok {
		return nil, crowdedBy("%s has %d connections already", name, t.peers.most)
	}
	return leave, nil
}

// stranger closes the connection after a while.
func (t turnstile) stranger(c net.Conn) (leave func(), err error) {
	from := origin.Of(c.RemoteAddr())
	away, ok := t.origins.enter(from)
	if !ok {
		return nil, crowdedBy("%s has %d connections without a certificate already", from, t.origins.most)
	}
	out, ok := t.strangers.enter(struct{}{})
	if !ok {
		away()
		return nil, crowdedBy("there are %d connections without a certificate already", t.strangers.most)
	}
	timer := time.AfterFunc(t.visit, func() { _ = c.Close() }) // its reader then has the server close the connection
	return func() { timer.Stop(); out(); away() }, nil
}

// nameOf is that of a peer's certificate, which the handshake has verified if it has one.
func nameOf(info credentials.AuthInfo) string {
	tls, ok := info.(credentials.TLSInfo)
	if !ok || len(tls.State.PeerCertificates) == 0 || len(tls.State.PeerCertificates[0].URIs) == 0 {
		return ""
	}
	return tls.State.PeerCertificates[0].URIs[0].String()
}

// Clone has what is counted in common with the original.
func (t turnstile) Clone() credentials.TransportCredentials {
	t.TransportCredentials = t.TransportCredentials.Clone()
	return t
}

// crowd counts those who are here, of each name, up to a bound.
type crowd[K comparable] struct {
	most int
	mu   sync.Mutex
	here map[K]int // guarded by mu
}

func newCrowd[K comparable](most int) *crowd[K] { return &crowd[K]{most: most, here: map[K]int{}} }

// enter counts one more until it leaves, which it is to do once.
func (c *crowd[K]) enter(who K) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[who] >= c.most {
		return nil, false
	}
	c.here[who]++
	return func() { c.leave(who) }, true
}

func (c *crowd[K]) leave(who K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[who]--; c.here[who] == 0 {
		delete(c.here, who)
	}
}
