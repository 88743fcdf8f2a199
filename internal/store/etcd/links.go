package etcd

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// links tells of the connections to servers of the cluster.
type links struct {
	begun   signal // when one begins
	changed signal // when one begins or ends
}

// TagConn implements stats.Handler.
func (*links) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (l *links) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		l.begun.give()
		l.changed.give()
	case *stats.ConnEnd:
		l.changed.give()
	}
}

// TagRPC implements stats.Handler.
func (*links) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (*links) HandleRPC(context.Context, stats.RPCStats) {}

// signal wakes all that wait for something to happen again. The zero signal is ready.
type signal struct {
	mu   sync.Mutex
	wake chan struct{} // guarded by mu; closed and dropped when it happens; nil until somebody waits
}

// next is closed when it happens the next time.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake
}

func (s *signal) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}
