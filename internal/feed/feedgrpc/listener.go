package feedgrpc

import (
	"net"
	"sync"
)

// Listener has the kernel notice when the host of a child is gone, and bounds the connections. A gRPC server that serves
// feeds should be given one.
func Listener(l net.Listener, limits Limits) net.Listener {
	return &listener{Listener: l, places: make(chan struct{}, limits.withDefaults().Connections), closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept waits for a place first, so that those beyond the bound wait in the kernel's queue, which is short.
func (l *listener) Accept() (net.Conn, error) {
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
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(probes()) // a connection that takes none is watched by pings alone
	}
	return &connection{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
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
