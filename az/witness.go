package az

import (
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// silentFor is how long the clusters of a replica whose session has ended count as they did: by then another has taken
// them over.
const silentFor = 2 * store.MemberLease

// witness is another replica that tells the leader how its clusters stand. It is kept for as long as it has a session, and
// silentFor after.
type witness struct {
	ledger   *feed.Ledger // what is held of its words, from session to session
	complete bool         // it has told all that it knows, once
	lost     time.Time    // when its session ended; zero while it has one
}

// witness returns what is kept of a replica, with mu held.
func (s *sums) witness(id string) *witness {
	w := s.witnesses[id]
	if w == nil {
		w = &witness{ledger: feed.NewLedger(feed.State{}, nil).Unguarded()}
		s.witnesses[id] = w
	}
	return w
}

// ledger is what is held of a replica's words.
func (s *sums) ledger(id string) *feed.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.witness(id).ledger
}

// heardAll notes that a replica has told all that it knows.
func (s *sums) heardAll(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.witness(id); !w.complete {
		w.complete = true
		s.openIfAllSpoke()
	}
}

// attended notes that a replica's session began or ended.
func (s *sums) attended(id string, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.witness(id)
	if !connected {
		w.lost = time.Now()
	} else {
		w.lost = time.Time{}
		s.putHealth(id, true)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// silence reports as not connected the clusters of replicas that have been away for silentFor, forgets those replicas, and
// returns them, and when the next is due. One that comes back tells all again.
func (s *sums) silence(now time.Time) (gone []string, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, w := range s.witnesses {
		if w.lost.IsZero() {
			continue
		}
		due := w.lost.Add(s.silentFor)
		if now.Before(due) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		delete(s.witnesses, id)
		s.putHealth(id, false)
		s.disregard(id)
		gone = append(gone, id)
	}
	return gone, next
}

// disregard has what a replica told of where applications run count for nothing more until it has told all again: of what
// went meanwhile nobody tells.
func (s *sums) disregard(id string) {
	for _, c := range s.clusters {
		if c.source == id {
			c.told, c.located = false, map[record.Key]struct{}{}
		}
	}
}

// putHealth reports the health of a replica's clusters as it told, or as not connected where it is silent.
func (s *sums) putHealth(id string, speaks bool) {
	for _, c := range s.clusters {
		if c.source == id && c.health != nil {
			h := *c.health
			h.Connected = h.Connected && speaks
			s.report.PutHealth(h)
			s.notePresence(h.Cluster, c, h.Connected)
		}
	}
}
