// Package children is the parent's end of its children's sessions, as Global, regions and zones share it: who is
// connected and how each session stands, whom a question can go on to, and the gRPC server around them. It knows no tier.
package children

import (
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/question"
)

// Table knows the sessions with children, by name. It is safe for concurrent use.
type Table struct {
	mu    sync.Mutex
	seats map[string]*seat // guarded by mu; a child that was once accepted stays until it is forgotten
}

type seat struct {
	link   *feedgrpc.Link
	status feed.Status
	since  time.Time
	// refusedSince is when the child began to refuse.
	refusedSince time.Time
	// late ends a session that was accepted, and had not begun when it was to end; nil if there is none.
	late func(*feedgrpc.Link)
	// awaited: a session was accepted, and has not begun; it may never do so.
	awaited bool
	// forgotten: the seat goes with its session.
	forgotten bool
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{seats: map[string]*seat{}} }

// Watch has a child's sessions noted here; the endpoint's own functions are called as before. It is for the accept
// function: whatever is to end the session from now on does so even if it has yet to begin. What was to end it before is
// void, so what makes a child acceptable is to be looked at after Watch.
func (t *Table) Watch(name string, ep feedgrpc.Endpoint) feedgrpc.Endpoint {
	opened, closed, state := ep.Opened, ep.Closed, ep.State
	t.set(name, func(s *seat) { s.late, s.awaited, s.forgotten = nil, true, false })
	ep.Opened = func(link *feedgrpc.Link) {
		t.set(name, func(s *seat) {
			if s.late != nil {
				s.late(link)
			}
			*s = seat{link: link, since: time.Now(), forgotten: s.forgotten}
		})
		if opened != nil {
			opened(link)
		}
	}
	ep.Closed = func(err error) {
		t.leave(name)
		if closed != nil {
			closed(err)
		}
	}
	ep.State = func(status feed.Status) {
		t.set(name, func(s *seat) {
			if s.status.RefusedBy == nil && status.RefusedBy != nil {
				s.refusedSince = time.Now()
			}
			s.status = status
		})
		if state != nil {
			state(status)
		}
	}
	return ep
}

func (t *Table) set(name string, change func(*seat)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seats[name] == nil {
		t.seats[name] = &seat{}
	}
	change(t.seats[name])
}

// leave notes that a child's session has ended.
func (t *Table) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch s := t.seats[name]; {
	case s == nil:
	case s.forgotten:
		delete(t.seats, name)
	default:
		*s = seat{since: time.Now()}
	}
}

func (t *Table) get(name string) seat {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.seats[name]; s != nil && !s.forgotten {
		return *s
	}
	return seat{}
}

// Forget drops a child that is no longer one, and ends its session.
func (t *Table) Forget(name, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch s := t.seats[name]; {
	case s == nil:
	case s.link == nil && !s.awaited:
		delete(t.seats, name)
	default:
		s.forgotten = true
		s.end(dismissal(reason))
	}
}

// Redirect ends a child's session, if it has one, and sends it to another address, where it goes at once.
func (t *Table) Redirect(name, address, reason string) {
	t.end(name, func(link *feedgrpc.Link) { link.Redirect(address, reason) })
}

// Dismiss ends a child's session, if it has one; it comes back by itself, here or elsewhere.
func (t *Table) Dismiss(name, reason string) { t.end(name, dismissal(reason)) }

// DismissAll ends all sessions.
func (t *Table) DismissAll(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.seats {
		s.end(dismissal(reason))
	}
}

func dismissal(reason string) func(*feedgrpc.Link) {
	return func(link *feedgrpc.Link) { link.Close(reason) }
}

// end ends a child's session, or the one that is about to begin.
func (t *Table) end(name string, how func(*feedgrpc.Link)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.seats[name]; s != nil {
		s.end(how)
	}
}

func (s *seat) end(how func(*feedgrpc.Link)) {
	if s.link == nil {
		s.late = how
		return
	}
	how(s.link)
}

// Connected tells whether a child has a session.
func (t *Table) Connected(name string) bool { return t.get(name).link != nil }

// Refused is what a child refuses to take, nil if nothing.
func (t *Table) Refused(name string) *question.Refusal {
	s := t.get(name)
	return RefusalOf(s.status.RefusedBy, s.refusedSince)
}

// Children are the named children, as a question goes on to them.
func (t *Table) Children(tier question.Tier, names []string) []question.Child {
	out := make([]question.Child, 0, len(names))
	for _, name := range names {
		child := question.Child{Name: name, Tier: tier}
		if link := t.get(name).link; link != nil {
			child.Ask = link.Ask
		}
		out = append(out, child)
	}
	return out
}

// Sessions describes the sessions with the named children, connected or not.
func (t *Table) Sessions(tier question.Tier, names []string) []question.Session {
	out := make([]question.Session, 0, len(names))
	for _, name := range names {
		s := t.get(name)
		session := question.Session{Peer: string(tier) + "/" + name, Connected: s.link != nil, Since: s.since}
		if s.link != nil {
			status := s.link.Status()
			session.InSync, session.Pending = status.InSync, status.Pending
			session.Refused = RefusalOf(status.RefusedBy, s.refusedSince)
			peer := s.link.Peer()
			session.Serial, session.Expires = peer.Serial, peer.NotAfter
		}
		out = append(out, session)
	}
	return out
}

// RefusalOf is a feed's refusal as people are told of it; nil stays nil.
func RefusalOf(r *feed.Refusal, since time.Time) *question.Refusal {
	if r == nil {
		return nil
	}
	return &question.Refusal{Kind: string(r.Kind), Reason: r.Reason, Since: since}
}
