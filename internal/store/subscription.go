package store

import (
	"context"
	"errors"
	"sync"
)

// ErrUnsubscribed is what Next returns after Close.
var ErrUnsubscribed = errors.New("subscription closed")

// Update is what changed from one snapshot to another: each key once, in the order of keys, with Old and New as the two
// snapshots hold them. Changes and Meta may be empty where only the position moved.
type Update struct {
	Old, New *Snapshot
	Delta
}

// Subscription hands on a Mirror's changes at its reader's speed: what the reader was too slow for is merged. One
// goroutine reads it.
type Subscription struct {
	mirror *Mirror
	wake   chan struct{} // holds one token while there may be news
	closed chan struct{}
	once   sync.Once

	seen *Snapshot // what the reader knows; only the reader uses it

	mu      sync.Mutex
	latest  *Snapshot // guarded by mu; nil until the mirror is ready
	pending pending   // guarded by mu; from the first Next on, what leads from seen to latest
	started bool      // guarded by mu; the first Next has happened
}

// Next waits until there is news and returns it. The first call returns everything as additions, as soon as the mirror
// is ready.
func (s *Subscription) Next(ctx context.Context) (Update, error) {
	for {
		select {
		case <-s.closed:
			return Update{}, ErrUnsubscribed
		case <-ctx.Done():
			return Update{}, ctx.Err()
		case <-s.wake:
		}
		if u, ok := s.take(); ok {
			return u, nil
		}
	}
}

// Close ends the subscription; the mirror keeps nothing for it any more.
func (s *Subscription) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.mirror.unsubscribe(s)
	})
}

func (s *Subscription) take() (Update, bool) {
	s.mu.Lock()
	latest, changes := s.latest, s.pending
	first := !s.started
	if latest == nil || latest == s.seen {
		s.mu.Unlock()
		return Update{}, false
	}
	s.started = true
	s.pending = newPending()
	s.mu.Unlock()

	u := Update{Old: s.seen, New: latest}
	s.seen = latest
	if first {
		u.Delta = between(u.Old, latest)
		return u, true
	}
	u.Position = latest.position
	u.Changes = changes.sorted()
	u.Meta = make(map[string][]byte, len(changes.meta))
	for name := range changes.meta {
		u.Meta[name] = latest.meta[name]
	}
	return u, true
}

// publish takes in the mirror's next snapshot and what led to it.
func (s *Subscription) publish(next *Snapshot, delta Delta) {
	s.mu.Lock()
	s.latest = next
	if s.started {
		for _, c := range delta.Changes {
			s.pending.change(c)
		}
		for name := range delta.Meta {
			s.pending.meta[name] = struct{}{}
		}
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
