package feedgrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
)

// defaultPatience bounds a question whose context has no deadline.
const defaultPatience = 10 * time.Second

// errEnded is the answer to what is asked of a session that has ended.
var errEnded = errors.New("the session has ended")

// Link is a live session, for those who ask the peer something. It is safe for concurrent use, but not from the
// callbacks of its own Endpoint, which run in the session's goroutine.
type Link struct {
	conn *conn
}

// Peer is who is at the other end.
func (l *Link) Peer() Identity { return l.conn.peer }

// Address is where the parent was dialled; empty at the parent's end.
func (l *Link) Address() string { return l.conn.address }

// Status is how the session stands; after its end, how it stood last.
func (l *Link) Status() feed.Status {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	return l.conn.status
}

// Close ends the session and tells the peer why. A child comes back by itself.
func (l *Link) Close(reason string) { l.conn.cancel(dismissal{errors.New(reason)}) }

// Redirect ends the session and sends the child to another address, where it goes at once. It is for parents: a child
// that calls it just ends the session.
func (l *Link) Redirect(address, reason string) {
	l.conn.cancel(&Redirect{Address: address, Reason: reason})
}

// Ask puts a question to the peer and waits for the answer, until ctx or the session ends.
func (l *Link) Ask(ctx context.Context, kind string, payload []byte) ([]byte, error) {
	patience := defaultPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline)
	}
	answer := make(chan feed.Answer, 1)
	var id uint64
	var asked error
	err := l.conn.do(ctx, func(s *feed.Session) {
		if id, asked = s.Ask(kind, payload, patience); asked == nil {
			l.conn.asked[id] = answer
		}
	})
	if err = errors.Join(err, asked); err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", l.conn.peer.Path, kind, err)
	}
	select {
	case a := <-answer:
		if a.Error == feed.NoAnswer {
			return nil, fmt.Errorf("asking %s for %s: %w", l.conn.peer.Path, kind, context.DeadlineExceeded)
		}
		if a.Error != "" {
			return nil, fmt.Errorf("%s on %s: %s", l.conn.peer.Path, kind, a.Error)
		}
		return a.Payload, nil
	case <-l.conn.ended:
		return nil, fmt.Errorf("asking %s for %s: %w", l.conn.peer.Path, kind, errEnded)
	case <-ctx.Done():
		_ = l.conn.do(context.WithoutCancel(ctx), func(s *feed.Session) {
			s.Cancel(id)
			delete(l.conn.asked, id)
		})
		return nil, fmt.Errorf("asking %s for %s: %w", l.conn.peer.Path, kind, context.Cause(ctx))
	}
}
