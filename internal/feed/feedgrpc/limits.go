package feedgrpc

import (
	"errors"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Limits bound what whoever reaches a server can cost it, before and beside what the feed itself bounds: the records of
// one child are limited by its Ledger (feed.Limits), how many children begin at once by Admission. A zero field is its
// default.
type Limits struct {
	// Connections at once, all children's and askers' together; the next wait for one to end. 8192: the clusters of a
	// large zone, several times.
	Connections int
	// PerAddress, of those, may come from one address (an IPv6 one counts as its /64), and are closed beyond: 4096, since many
	// children may be behind one. PerPeer are those of one certificate's name, all processes of it together: 256.
	PerAddress, PerPeer int
	// Strangers are the connections at once of those who show no certificate with a name, an eighth of them from one address;
	// each is closed after Visit. They enrol, or ask one question. 256, 30 seconds.
	Strangers int
	Visit     time.Duration
	// Streams of one connection: a child has its session, its authority's news, and now and then a renewal. 16.
	Streams int
	// Message is the largest that is read, in bytes: a record of feed.MaxRecord, or an answer of feed.MaxPayload, and what
	// goes around it. 2 MiB.
	Message int
	// Handshake is how long a newcomer may take for TLS and HTTP/2, Hello how long to say who it is, Idle how long it may
	// stay without a stream. 10 seconds, 10 seconds, a minute.
	Handshake, Hello, Idle time.Duration
	// Pings is the least time between a child's pings; one that pings more often is cut off. A second.
	Pings time.Duration
}

func (l Limits) withDefaults() Limits {
	number := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	span := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	number(&l.Connections, 8192)
	number(&l.PerAddress, 4096)
	number(&l.PerPeer, 256)
	number(&l.Strangers, 256)
	number(&l.Streams, 16)
	number(&l.Message, 2<<20)
	span(&l.Visit, 30*time.Second)
	span(&l.Handshake, 10*time.Second)
	span(&l.Hello, 10*time.Second)
	span(&l.Idle, time.Minute)
	span(&l.Pings, time.Second)
	return l
}

// Bounds of what one message may hold, in bytes or in number. They leave room for later releases, which may send more
// than this one does.
const (
	// maxPeers bounds the addresses that one peer may name.
	maxPeers = 256
	// maxBatch records and removals of one batch: four times what is sent.
	maxBatch = 1024
	// maxKind, maxName of a record: names of Kubernetes, several in one, are in it.
	maxKind, maxName = 64, 1200
	maxRole, maxPath = 64, 1024
	maxRelease       = 256
	maxAddress       = 512
	maxReason        = 256
	// maxText is of what people read; it is cut, not refused.
	maxText = 4 << 10
)

// errMalformed ends the session of a peer that does not keep to the protocol.
var errMalformed = errors.New("the peer breaks the protocol")

// What of a child's data may lie unread here, in bytes: it is read more slowly than it comes when it tells too much. Without
// these gRPC would let the windows grow to 16 MiB.
const (
	streamWindow     = 1 << 20
	connectionWindow = 2 << 20
	maxHeaders       = 16 << 10
)

// ServerOptions are the options of a gRPC server that serves feeds: a child that hangs is noticed, one that pings as Run
// does is not taken for abusive, and nobody takes more than the limits.
func ServerOptions(limits Limits) []grpc.ServerOption {
	l := limits.withDefaults()
	return []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: parentPings, Timeout: hangPatience, MaxConnectionIdle: l.Idle}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.Pings, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(l.Handshake),
		grpc.MaxConcurrentStreams(uint32(min(l.Streams, math.MaxUint32))),
		grpc.MaxRecvMsgSize(l.Message),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
	}
}
