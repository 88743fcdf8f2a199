package feed

import "github.com/meridian-federation/meridian/internal/record"

// Subscription tells one session which keys of an Outbox changed since it last asked: a set, so that however slow the
// session, it is bounded by the number of keys. Close it.
type Subscription struct {
	outbox *Outbox
	keys   []record.Key // guarded by outbox.mu, as is known
	known  map[record.Key]struct{}
	wake   chan struct{}
}

// Subscribe begins to collect changes from now on.
func (o *Outbox) Subscribe() *Subscription {
	s := &Subscription{outbox: o, wake: make(chan struct{}, 1)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.subs[s] = struct{}{}
	return s
}

// Wake receives when there may be changes, or completeness changed. One receive stands for all that went before it.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Close ends the subscription.
func (s *Subscription) Close() {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	delete(s.outbox.subs, s)
}

// take returns the keys that changed, in the order of their first change, and forgets them.
func (s *Subscription) take() []record.Key {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	keys := s.keys
	s.keys, s.known = nil, nil
	return keys
}

func (s *Subscription) add(edits []Edit) {
	if s.known == nil {
		s.known = make(map[record.Key]struct{}, len(edits))
	}
	for _, e := range edits {
		if _, ok := s.known[e.Key]; !ok {
			s.known[e.Key] = struct{}{}
			s.keys = append(s.keys, e.Key)
		}
	}
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
