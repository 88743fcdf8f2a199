package az

import (
	"sync"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
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
	if o.Version == (record.Version{}) && s.runs(o.Key) {
		return compile.Echo{}, false // ended tells
	}
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

// runs tells whether the agent reports a workload, which it does until nothing of it runs any more: that its removal is under way
// it acknowledges before.
func (s *site) runs(key record.Key) bool {
	id, err := object.FromKey(key)
	if err != nil || id.Kind != kindDeployment {
		return false
	}
	_, reported := s.reports[record.ServiceName(id.Namespace, id.Name)]
	return reported
}

const kindDeployment = "Deployment"

// ended is what the compiler has to hear of the end of an application's workload, if anything.
func (s *site) ended(app string) []compile.Echo {
	namespace, name := cutName(app)
	key := object.ID{Group: "apps", Version: "v1", Kind: kindDeployment, Namespace: namespace, Name: name}.Key()
	if !s.awaited[key] {
		return nil
	}
	return []compile.Echo{{Cluster: s.cluster, Key: key}}
}

// settle is what the compiler has to hear when the agent has all that it should have, and has told all: that, and which of the
// workloads that are awaited do not run.
func (s *site) settle() []compile.Echo {
	out := []compile.Echo{{Cluster: s.cluster}}
	for key := range s.awaited {
		if id, err := object.FromKey(key); err == nil && id.Kind == kindDeployment && !s.runs(key) {
			out = append(out, compile.Echo{Cluster: s.cluster, Key: key})
		}
	}
	return out
}
