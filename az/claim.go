package az

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/store"
)

// claim claims and takes in the clusters that are not owned. A claim that this process's id had before a restart is as
// good as ever: ids are unique.
func (s *clusterShard) claim(ctx context.Context) error {
	missing := s.missing()
	if len(missing) > 0 {
		held, err := s.claims(ctx)
		if err != nil {
			return err
		}
		for _, name := range missing {
			fence := held[name].Fence
			if held[name].Owner != s.id {
				claim, err := s.store.Claim(ctx, name, s.id, fence)
				if err != nil {
					return fmt.Errorf("claiming cluster %s: %w", name, err)
				}
				fence = claim.Fence
			}
			s.own(name, feed.Fence{Epoch: s.position.Epoch, Fence: fence})
		}
	}
	s.suspect = false
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
	return nil
}

// missing are the zone's clusters that are not owned, or may no longer be, sorted.
func (s *clusterShard) missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for name := range s.clusters {
		if s.suspect || s.owned[name] == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (s *clusterShard) claims(ctx context.Context) (map[string]store.Claim, error) {
	all, err := s.store.Claims(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing claims: %w", err)
	}
	out := make(map[string]store.Claim, len(all))
	for _, c := range all {
		out[c.Name] = c
	}
	return out, nil
}

// own compiles a cluster that was claimed and lets its agent in.
func (s *clusterShard) own(name string, fence feed.Fence) {
	s.mu.Lock()
	if o := s.owned[name]; o != nil {
		o.fence = fence
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	o := &owned{fence: fence, outbox: feed.NewOutbox(), ledger: feed.NewLedger(feed.State{}, nil).Unguarded()}
	s.board.add(name)
	change := s.compiler.own(s.clusters[name])[name]
	s.board.expect(name, change, time.Now())
	o.outbox.Update(s.position, change.edits...)
	o.outbox.SetComplete(change.complete)
	if !change.complete {
		s.log.Warn("some applications cannot be compiled; nothing is removed in the cluster meanwhile", "cluster", name)
	}
	s.log.Info("cluster owned", "cluster", name, "fence", fence, "objects", o.outbox.Len())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[name] = o
	close(s.changed)
	s.changed = make(chan struct{})
}
