package feedgrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
)

// partingPatience is how long the end of a session waits for a peer that takes what was sent before, to tell it why.
const partingPatience = time.Second

// takePatience is how long a transport may take to accept one message, of 1 MiB at most. A peer that works slowly is
// not meant: it reads on, and is sent no more than a window. One that reads nothing for so long is broken, even if its
// kernel, or its gRPC, goes on to answer.
const takePatience = 2 * time.Minute

var errStuck = errors.New("the peer takes nothing from the connection")

// The goroutines of a conn beside the one that owns the session.

// receive passes on what comes until the stream ends.
func (c *conn) receive() {
	for {
		frame, err := c.stream.Recv()
		if err != nil {
			c.cancel(fmt.Errorf("receiving: %w", err))
			return
		}
		m, err := decode(frame)
		if err != nil {
			c.cancel(fmt.Errorf("%w: %w", errMalformed, err))
			return
		}
		if m == nil {
			continue
		}
		select {
		case c.inbox <- m:
		case <-c.ctx.Done():
			return
		}
	}
}

// send sends what the session's goroutine hands out.
func (c *conn) send() {
	defer close(c.sending)
	stuck := time.AfterFunc(time.Hour, func() { c.cancel(errStuck) })
	defer stuck.Stop()
	stuck.Stop()
	for {
		select {
		case m := <-c.out:
			if !c.mayGo(m) { // it was handed out before
				select {
				case c.back <- m:
					continue
				case <-c.ctx.Done():
					return
				}
			}
			stuck.Reset(c.takePatience)
			err := c.stream.Send(encode(m))
			stuck.Stop()
			if errors.Is(err, io.EOF) {
				return // the stream is over; receive has the reason
			}
			if err != nil {
				c.cancel(fmt.Errorf("sending: %w", err))
				return
			}
		case <-c.ctx.Done():
			return
		}
	}
}

// mayGo tells whether a message may go out now: what was made while this end was its peer's owner may have lain here for
// longer than that is so.
func (c *conn) mayGo(m feed.Message) bool {
	switch m.(type) {
	case feed.Root, feed.Batch, feed.Told:
	default:
		return true
	}
	if c.endpoint.Fence == nil {
		return true
	}
	_, ok := c.endpoint.Fence()
	return ok
}

// passes tells whether a message may go out before one that is held back. All may but those to the peer's receiver, which
// takes them in order.
func passes(m feed.Message) bool {
	switch m.(type) {
	case feed.Root, feed.Select, feed.Batch, feed.Told:
		return false
	default:
		return true
	}
}

// sent waits, for partingPatience at most, until nobody sends on the stream any more, and tells whether that is so. The
// session must have ended.
func (c *conn) sent() bool {
	if c.sending == nil {
		return true
	}
	timer := time.NewTimer(partingPatience)
	defer timer.Stop()
	select {
	case <-c.sending:
		return true
	case <-timer.C:
		return false
	}
}

// unapplied ends a session whose batch could not be applied at this end.
type unapplied struct{ err error }

func (u *unapplied) Error() string { return fmt.Sprintf("applying a batch: %s", u.err) }
func (u *unapplied) Unwrap() error { return u.err }

// apply has the batches applied, one at a time, until one fails or the session ends.
func (c *conn) apply(ctx context.Context) error {
	for batch := range c.batches {
		if ctx.Err() != nil {
			continue
		}
		var rejections []feed.Rejection
		if c.endpoint.Apply != nil {
			var err error
			if rejections, err = c.endpoint.Apply(ctx, batch); err != nil {
				return &unapplied{err}
			}
		}
		c.applied <- result{batch.ID, rejections} // there is room for a window of them
	}
	return nil
}

// maxAnswers is how many answers one session works on at once.
const maxAnswers = 64

// answer begins to answer a question of the peer.
func (c *conn) answer(ctx context.Context, q feed.Question) {
	if c.endpoint.Answer == nil {
		c.session.Answer(q.ID, nil, errors.New("this end answers no questions"))
		return
	}
	if c.answers >= maxAnswers {
		c.session.Answer(q.ID, nil, feed.ErrBusy)
		return
	}
	c.answers++
	ctx, cancel := context.WithTimeout(ctx, q.Patience)
	c.answering[q.ID] = cancel
	c.work.Go(func() error {
		defer cancel()
		payload, err := c.endpoint.Answer(ctx, q)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = errors.New(feed.NoAnswer)
		}
		_ = c.do(context.WithoutCancel(ctx), func(s *feed.Session) {
			s.Answer(q.ID, payload, err)
			delete(c.answering, q.ID)
			c.answers--
		})
		return nil
	})
}
