package feedgrpc

import (
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Who notices what, and when:
//
//	the other host is gone or cut off   either end's kernel, in 6 seconds; its probes wake no process
//	the parent's process hangs          the child, by a ping, in 15 seconds at most (gRPC allows no less)
//	the child's process hangs           the parent, by a ping, in 40 seconds at most
//
// A child pings while it hears nothing, and so the parent does not: an idle session costs both ends one ping every ten
// seconds.
const (
	childPings   = 10 * time.Second
	parentPings  = 30 * time.Second
	pingPatience = 5 * time.Second
	hangPatience = 10 * time.Second
)

// probes are the kernel's, on either end's connections.
func probes() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second, Interval: time.Second, Count: 3}
}

// ServerOptions are the options of a gRPC server that serves feeds: a child that hangs is noticed, and one that pings as
// Run does is not taken for abusive.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: parentPings, Timeout: hangPatience}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}

// Listener has the kernel notice when the host of a child is gone. A gRPC server that serves feeds should be given one.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		_ = tcp.SetKeepAliveConfig(probes()) // a connection that takes none is watched by pings alone
	}
	return c, err
}
