package feedgrpc

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedpb"
	"github.com/meridian-federation/meridian/internal/record"
)

// handStream is a stream whose peer the test plays: it takes a message when the test does.
type handStream struct {
	ctx      context.Context
	out, in  chan feed.Message
	received chan error // how the stream ends
}

func (s handStream) Send(f *feedpb.Frame) error {
	m, err := decode(f)
	if err != nil {
		return err
	}
	select {
	case s.out <- m:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s handStream) Recv() (*feedpb.Frame, error) {
	select {
	case m := <-s.in:
		return encode(m), nil
	case err := <-s.received:
		return nil, err
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// byHand runs a conn with an endpoint and lets the test play its peer, in a bubble of synctest.
func byHand(t *testing.T, ep Endpoint, play func(t *testing.T, c *conn, s handStream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		var io sync.WaitGroup
		s := handStream{ctx: ctx, out: make(chan feed.Message), in: make(chan feed.Message), received: make(chan error)}
		c := newConn(ctx, s, &io)
		io.Go(func() { _ = c.run(feed.Config{}, ep) })
		play(t, c, s)
		end()
		io.Wait()
	})
}

// TestWhatTheFenceHoldsDoesNotHoldUpTheRest loses the fence with a batch in the queue: questions go out before it, and it
// goes when the fence is back.
func TestWhatTheFenceHoldsDoesNotHoldUpTheRest(t *testing.T) {
	outbox := feed.NewOutbox()
	outbox.SetComplete(true)
	edit := func(name string) {
		key := record.Key{Kind: "test", Name: name}
		outbox.Edit(feed.Put(&record.Record{Key: key, Version: record.VersionOf(nil)}))
		synctest.Wait()
	}
	var lost atomic.Bool
	ep := Endpoint{Outbox: outbox, Fence: func() (feed.Fence, bool) { return feed.Fence{Epoch: 1, Fence: 1}, !lost.Load() }}
	byHand(t, ep, func(t *testing.T, c *conn, s handStream) {
		ask := func(kind string) {
			err := c.do(t.Context(), func(s *feed.Session) { _, _ = s.Ask(kind, nil, time.Hour) })
			if err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		<-s.out // Hello
		s.in <- feed.Hello{Protocol: feed.Version}
		root := (<-s.out).(feed.Root)
		s.in <- feed.Equal{Round: root.Round}
		if m, ok := (<-s.out).(feed.Told); !ok {
			t.Fatalf("%T comes once the views are equal, want Told", m)
		}
		edit("on its way")
		edit("held")
		ask("before")
		lost.Store(true) // which nobody tells the session: what is held is next to go out
		first, _ := (<-s.out).(feed.Batch)
		if len(first.Puts) != 1 || first.Puts[0].Key.Name != "on its way" {
			t.Errorf("the first batch has %v, want what was on its way", first.Puts)
		}
		for _, want := range []string{"before", "after"} {
			if q, ok := (<-s.out).(feed.Question); !ok || q.Kind != want {
				t.Errorf("%+v comes while the fence is lost, want question %s", q, want)
			}
			ask("after")
		}
		<-s.out // the last question
		select {
		case m := <-s.out:
			t.Errorf("%T comes while the fence is lost", m)
		case <-time.After(time.Minute):
		}
		lost.Store(false)
		held, _ := (<-s.out).(feed.Batch)
		if len(held.Puts) != 1 || held.Puts[0].Key.Name != "held" {
			t.Errorf("the next batch has %v, want what was held", held.Puts)
		}
	})
}

// TestLasted waits in the parent's line for a minute, and is then served for a second: only that second counts.
func TestLasted(t *testing.T) {
	byHand(t, Endpoint{}, func(t *testing.T, c *conn, s handStream) {
		<-s.out // Hello
		time.Sleep(time.Minute)
		if got := c.lasted(); got != 0 {
			t.Errorf("the session lasted %v before the parent said Hello, want 0", got)
		}
		s.in <- feed.Hello{Protocol: feed.Version}
		time.Sleep(time.Second)
		s.received <- errors.New("the parent is gone")
		<-c.ended
		if got := c.lasted(); got != time.Second {
			t.Errorf("the session lasted %v, want %v", got, time.Second)
		}
	})
}
