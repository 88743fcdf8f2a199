package feedgrpc

import (
	"net"
	"net/netip"
	"sync"

	"github.com/meridian-federation/meridian/internal/origin"
)

// Listener has the kernel notice when the host of a child is gone, and bounds the connections, all and those of one address.
// refused is told of those of an address that has too many; nil is nobody. A gRPC server that serves feeds should be given one.
func Listener(l net.Listener, limits Limits, refused func(from net.Addr, err error)) net.Listener {
	limits = limits.withDefaults()
	if refused == nil {
		refused = func(net.Addr, error) {}
	}
	return &listener{Listener: l, refused: refused, places: make(chan struct{}, limits.Connections), origins: newCrowd[netip.Prefix](limits.PerAddress),
		closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	refused func(from net.Addr, err error)
	places  chan struct{}
	origins *crowd[netip.Prefix]
	closed  chan struct{}
	once    sync.Once
}

// Accept waits for a place first, so that those beyond the bound wait in the kernel's queue, which is short. Those beyond
// the bound of their address are closed, since others wait behind them.
func (l *listener) Accept() (net.Conn, error) {
	for {
		select {
		case l.places <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		from := origin.Of(c.RemoteAddr())
		leave, ok := l.origins.enter(from)
		if !ok {
			l.refused(c.RemoteAddr(), crowdedBy("%s has %d connections already", from, l.origins.most))
			_ = c.Close()
			<-l.places
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetKeepAliveConfig(probes()) // a connection that takes none is watched by pings alone
		}
		return &connection{Conn: c, leave: sync.OnceFunc(func() { leave(); <-l.places })}, nil
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connection gives its place back when it is closed.
type connection struct {
	net.Conn
	leave func()
}

func (c *connection) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
