package az

import (
	"sync"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// echoes are what agents made of objects, on the way from their sessions to the shard's loop, as far as the compiler has to
// hear of it: objects that it waits for, and objects that are no application's own and were refused, until they no longer are.
// It is safe for concurrent use.
type echoes struct {
	// wake receives when there is something to take.
	wake chan struct{}

	mu   sync.Mutex
	list []compile.Echo // guarded by mu
}

func newEchoes() *echoes { return &echoes{wake: make(chan struct{}, 1)} }

func (e *echoes) add(list ...compile.Echo) {
	if len(list) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, list...)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// take takes all that there are, in the order in which they came.
func (e *echoes) take() []compile.Echo {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// echo is what the compiler has to hear of an outcome, if anything.
func (s *site) echo(o feed.Outcome) (e compile.Echo, ok bool) {
	_, own := s.items[o.Key]
	if o.Held || !s.awaited[o.Key] && !s.refusals[o.Key] && (own || o.Rejection == nil) {
		return compile.Echo{}, false
	}
	if o.Rejection != nil && !own {
		if s.refusals == nil {
			s.refusals = map[record.Key]bool{}
		}
		s.refusals[o.Key] = true
	} else {
		delete(s.refusals, o.Key)
	}
	return compile.Echo{Cluster: s.cluster, Key: o.Key, Version: o.Version, Rejection: o.Rejection}, true
}

// await notes of which objects the compiler waits to hear.
func (s *site) await(keys []record.Key) {
	s.awaited = nil
	if len(keys) == 0 {
		return
	}
	s.awaited = make(map[record.Key]bool, len(keys))
	for _, key := range keys {
		s.awaited[key] = true
	}
}
