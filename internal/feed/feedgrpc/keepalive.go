package feedgrpc

import (
	"net"
	"time"
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
