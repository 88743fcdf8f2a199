package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// whole waits until all replicas of a zone are there, one leads, every cluster is claimed by one of them, and all agents
// have what they should.
func (f *federation) whole(ctx context.Context, registry store.Registry, zone string) (store.Roster, error) {
	var out store.Roster
	reached := errors.New("the zone is whole")
	err := registry.WatchRoster(ctx, func(r *store.Roster) error {
		if len(r.Members) != f.o.replicas || r.Members[r.Leader].ID == "" {
			return nil
		}
		for _, c := range f.topo.clusters {
			if owner := r.Claims[c.name].Owner; c.zone == zone && r.Members[owner].ID == "" {
				return nil
			}
		}
		out = store.Roster{Members: maps.Clone(r.Members), Leader: r.Leader, Claims: maps.Clone(r.Claims)}
		return reached
	})
	if !errors.Is(err, reached) {
		return out, fmt.Errorf("waiting until zone %s is whole: %w", zone, errors.Join(err, context.Cause(ctx)))
	}
	return out, f.allSynced(ctx)
}

// possessions are the agents of the clusters that a replica owns, with their sessions.
type possessions map[*simagent.Agent]simagent.Session

func (f *federation) ownedBy(r store.Roster, zone, replica string) possessions {
	out := possessions{}
	for i, a := range f.agents {
		if f.topo.clusters[i].zone == zone && r.Claims[a.Name()].Owner == replica {
			out[a] = a.Session()
		}
	}
	return out
}

// await waits until each of the agents has agreed with whoever is its owner, in a session that is as wanted, and returns how
// long that took.
func (p possessions) await(ctx context.Context, since time.Time, wanted func(was, now simagent.Session) bool) ([]time.Duration, error) {
	var took []time.Duration
	for a, was := range p {
		s, err := a.Await(ctx, func(s simagent.Session) bool { return isSynced(s) && wanted(was, s) })
		if err != nil {
			return nil, fmt.Errorf("waiting until somebody owns cluster %s: %w", a.Name(), err)
		}
		took = append(took, s.Synced.Sub(since))
	}
	return took, nil
}
