//go:build linux

package zonefaults

import (
	"context"
	"errors"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// simulated is a cluster in memory, whose agent speaks the real protocol. There are some beside the real ones, so that
// every replica has several clusters.
type simulated struct {
	*witness
	child *tiertest.Child
}

func newSimulated(name string, in *intent) *simulated {
	return &simulated{witness: newWitness(name, in)}
}

// start connects the agent, which is told of one of the zone's addresses, for the first time or again.
func (s *simulated) start(t *testing.T, address string) {
	if s.child == nil {
		s.child = tiertest.NewChild(t, "cluster", "region/"+region+"/zone/"+zone+"/cluster/"+s.cluster, address)
		s.child.Applied(s.applied)
	}
	s.child.Target(address)
	s.child.Start()
}

// applied witnesses a batch, which has changed what is held.
func (s *simulated) applied(b feed.Batch) {
	s.obeyed(b.Fence)
	for _, r := range b.Puts {
		if id, err := object.FromKey(r.Key); err == nil {
			s.put(id.String(), r.Version.String())
		}
	}
	for _, r := range b.Removals {
		s.removed(r.Key.Name)
	}
}

// stop disconnects it.
func (s *simulated) stop() { s.child.Stop() }

// served is nil while the agent has a session with the zone.
func (s *simulated) served(context.Context) error {
	if !s.child.Connected() {
		return errors.New("it has no session")
	}
	return nil
}

// objects are the versions that it holds.
func (s *simulated) objects(context.Context) (map[string]string, error) {
	out := map[string]string{}
	for key, r := range s.child.Held() {
		id, err := object.FromKey(key)
		if err != nil {
			return nil, err
		}
		out[id.String()] = r.Version.String()
	}
	return out, nil
}

// audit has nothing to compare: what the witness saw is every write there was.
func (s *simulated) audit(*testing.T) {}
