package az

import (
	"context"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// run opens the sums when the owners have had their time to speak, and says of clusters that nobody speaks for that they
// are not connected, until ctx ends. An owner may have begun later than the term, by silentFor at most, and says what its
// agents have not told after settle, or twice that where they came late. gone is called with the replicas that nothing is kept
// of any more.
func (s *sums) run(ctx context.Context, settle time.Duration, gone func(ids []string)) error {
	opening := time.NewTimer(2*settle + s.silentFor)
	defer opening.Stop()
	for {
		var silent <-chan time.Time
		ids, next := s.silence(time.Now())
		gone(ids)
		if !next.IsZero() {
			silent = time.After(time.Until(next))
		}
		select {
		case <-opening.C:
			s.open()
		case <-silent:
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// known tells, with mu held, whether the owners of all clusters that an application is bound to have spoken of it.
func (s *sums) known(app string) bool {
	for e := range s.mirror.Snapshot().Prefix(record.KindBinding, app+"/") {
		if _, cluster, ok := cutLast(e.Key.Name); ok {
			if _, told := s.report.Table().Get(cluster, app); !told {
				return false
			}
		}
	}
	return true
}

// sized tells whether the owner of a cluster has said how it is, and that it has told all that it knows.
func (s *sums) sized(c *testimony) bool {
	w := s.witnesses[c.source]
	return c.health != nil && (c.source == "" || w != nil && w.complete)
}

// whole tells whether the owner of a cluster has said all that it means to. It may say how the cluster is before it can say
// how its applications stand; then it says how many there are.
func (s *sums) whole(c *testimony) bool {
	return s.sized(c) && len(c.replicas) >= int(c.health.Applications)
}

// openIfAllSpoke ends the waiting of a young term when all clusters are known, by the whole word of their owners: what a
// replica tells comes in no particular order. The scheduler waits for their sizes alone.
func (s *sums) openIfAllSpoke() {
	if !s.counting && s.all(s.sized) {
		s.count()
	}
	if !s.report.Opened() && s.all(s.whole) {
		s.openAll()
	}
}

// all tells whether something holds of all clusters. A zone whose inventory has not come yet waits.
func (s *sums) all(holds func(*testimony) bool) (all bool) {
	for e := range s.mirror.Snapshot().All(record.KindCluster) {
		if c := s.clusters[e.Key.Name]; c == nil || !holds(c) {
			return false
		}
		all = true
	}
	return all
}

// open reports everything: what is not known by now is not waited for.
func (s *sums) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openAll()
}

func (s *sums) openAll() {
	s.report.Open()
	if !s.counting {
		s.count()
	}
}

// recount tells the scheduler all numbers of nodes that are known.
func (s *sums) recount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counting {
		s.count()
	}
}

// count tells the scheduler of numbers of nodes, from now on.
func (s *sums) count() {
	s.counting = true
	for name, c := range s.clusters {
		if c.health != nil {
			s.news.counted(name, c.health.Nodes)
		}
	}
}
