package feedgrpc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
)

// deafStream is a stream that gives one Hello and takes nothing.
type deafStream struct {
	ctx   context.Context
	hello chan *feedpb.Frame
}

func (s deafStream) Send(*feedpb.Frame) error {
	<-s.ctx.Done()
	return s.ctx.Err()
}

func (s deafStream) Recv() (*feedpb.Frame, error) {
	select {
	case f := <-s.hello:
		return f, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// TestPeerThatTakesNothing holds that a session ends whose transport accepts nothing, though it is alive.
func TestPeerThatTakesNothing(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	var io sync.WaitGroup
	defer io.Wait()
	defer end()
	stream := deafStream{ctx: ctx, hello: make(chan *feedpb.Frame, 1)}
	stream.hello <- encode(feed.Hello{Protocol: feed.Version})
	c := newConn(ctx, stream, &io)
	c.takePatience = 10 * time.Millisecond
	if err := c.run(feed.Config{}, Endpoint{Outbox: feed.NewOutbox()}); !errors.Is(err, errStuck) {
		t.Errorf("the session ends with %v, want %v", err, errStuck)
	}
}
