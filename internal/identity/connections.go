package identity

import (
	"context"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/question"
)

// parting is how long those who are revoked have to be told why, before their connections are closed.
const parting = 5 * time.Second

// ServerCredentials are ServerTLS's for a gRPC server. revalidate is to be called when lowest has risen for some place: it
// has the connections closed of those whose certificates no longer count, and tells how many more these are. Each has a
// little while, in which its streams are told why.
func ServerCredentials(s *Source, lowest Lowest, refused func(from net.Addr, err error)) (creds credentials.TransportCredentials, revalidate func() (ended int)) {
	w := watched{TransportCredentials: credentials.NewTLS(ServerTLS(s, lowest, refused)), standing: &connections{}, lowest: lowest}
	return w, func() int { return w.standing.end(lowest, parting) }
}

// ClientCredentials are ClientTLS's for a gRPC client. A connection to a server that is known to be replaced by then is
// closed: see Source.Outdated.
func ClientCredentials(s *Source, server question.Path, lowest Lowest) credentials.TransportCredentials {
	return watched{TransportCredentials: credentials.NewTLS(ClientTLS(s, server, lowest)), standing: &s.dialled, lowest: s.met.atLeast(lowest)}
}

// watched knows the connections that were made with it.
type watched struct {
	credentials.TransportCredentials
	standing *connections
	lowest   Lowest
}

// ServerHandshake is for those who dial.
func (w watched) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return w.watch(w.TransportCredentials.ServerHandshake(raw))
}

// ClientHandshake is for those who are dialled.
func (w watched) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return w.watch(w.TransportCredentials.ClientHandshake(ctx, authority, raw))
}

func (w watched) watch(c net.Conn, info credentials.AuthInfo, err error) (net.Conn, credentials.AuthInfo, error) {
	if err != nil {
		return nil, nil, err
	}
	tls, ok := info.(credentials.TLSInfo)
	if !ok || isStranger(tls.State.PeerCertificates) {
		return c, info, nil
	}
	in := &connection{Conn: c, of: w.standing, certs: tls.State.PeerCertificates}
	w.standing.add(in)
	if err := in.revoked(w.lowest); err != nil { // lowest rose after the handshake, and before the connection was known
		_ = in.Close()
		return nil, nil, err
	}
	return in, info, nil
}

// Clone knows its connections in common with the original.
func (w watched) Clone() credentials.TransportCredentials {
	w.TransportCredentials = w.TransportCredentials.Clone()
	return w
}

// connections are those that stand. The zero connections are none.
type connections struct {
	mu  sync.Mutex
	all map[*connection]struct{} // guarded by mu
}

// connection is one to a peer that has shown certificates.
type connection struct {
	net.Conn
	of    *connections
	certs []*x509.Certificate
	ends  *time.Timer // guarded by of.mu; nil until it is to end
}

func (s *connections) add(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*connection]struct{}{}
	}
	s.all[c] = struct{}{}
}

// end closes after a while the connections whose certificates lowest does not accept; it tells how many more are to end.
func (s *connections) end(lowest Lowest, after time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if c.ends == nil && c.revoked(lowest) != nil {
			c.ends = time.AfterFunc(after, func() { _ = c.Close() }) // its reader has gRPC take notice
			n++
		}
	}
	return n
}

// revoked says why the certificates no longer count.
func (c *connection) revoked(lowest Lowest) error {
	path, err := pathOf(c.certs[0])
	if err != nil {
		return err
	}
	return rule(path, c.certs, lowest)
}

// Close forgets it.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.all, c)
	if c.ends != nil {
		c.ends.Stop()
	}
	c.of.mu.Unlock()
	return c.Conn.Close()
}
