package feedgrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/meridian-federation/meridian/internal/feed"
)

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
			c.cancel(fmt.Errorf("receiving: %w", err))
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
	for {
		select {
		case m := <-c.out:
			err := c.stream.Send(encode(m))
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
				return fmt.Errorf("applying a batch: %w", err)
			}
		}
		c.applied <- result{batch.ID, rejections} // there is room for a window of them
	}
	return nil
}

// answer begins to answer a question of the peer.
func (c *conn) answer(ctx context.Context, q feed.Question) {
	if c.endpoint.Answer == nil {
		c.session.Answer(q.ID, nil, errors.New("this end answers no questions"))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, q.Patience)
	c.answering[q.ID] = cancel
	c.work.Go(func() error {
		defer cancel()
		payload, err := c.endpoint.Answer(ctx, q)
		_ = c.do(context.WithoutCancel(ctx), func(s *feed.Session) {
			s.Answer(q.ID, payload, err)
			delete(c.answering, q.ID)
		})
		return nil
	})
}
