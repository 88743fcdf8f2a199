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

// whole waits until all replicas of a zone are there, one leads, every cluster is claimed by one of them, all agents have
// what they should, and those of the zone have it from whoever claims their cluster. All that was so at one moment; in the
// next a cluster may be dealt to another replica.
func (f *federation) whole(ctx context.Context, registry store.Registry, zone string) (store.Roster, error) {
	was, err := f.claimed(ctx, registry, zone)
	for err == nil {
		if err = f.allServed(ctx, was); err != nil {
			break
		}
		var now store.Roster
		if now, err = f.claimed(ctx, registry, zone); err == nil && now.Leader == was.Leader && maps.Equal(now.Claims, was.Claims) {
			return now, nil
		}
		was = now
	}
	return was, fmt.Errorf("waiting until zone %s is whole: %w", zone, err)
}

// claimed waits until all replicas of a zone are there, one leads, and every cluster is claimed by one of them.
func (f *federation) claimed(ctx context.Context, registry store.Registry, zone string) (store.Roster, error) {
	var out store.Roster
	reached := errors.New("every cluster is claimed")
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
		return out, errors.Join(err, context.Cause(ctx))
	}
	return out, nil
}

// allServed waits until all agents have agreed with their zones, those of the roster's zone with an owner that claimed their
// cluster then or later.
func (f *federation) allServed(ctx context.Context, r store.Roster) error {
	for _, a := range f.agents {
		fence := r.Claims[a.Name()].Fence
		if _, err := a.Await(ctx, func(s simagent.Session) bool { return isSynced(s) && s.Fence.Fence >= fence }); err != nil {
			return fmt.Errorf("waiting until agent %s has what it should: %w", a.Name(), err)
		}
	}
	return nil
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

// await waits until each of the agents has since agreed with whoever is its owner, in a session that is as wanted, and returns
// how long that took.
func (p possessions) await(ctx context.Context, since time.Time, wanted func(was, now simagent.Session) bool) ([]time.Duration, error) {
	var took []time.Duration
	for a, was := range p {
		s, err := a.Await(ctx, func(s simagent.Session) bool { return isSynced(s) && s.Synced.After(since) && wanted(was, s) })
		if err != nil {
			return nil, fmt.Errorf("waiting until somebody owns cluster %s: %w", a.Name(), err)
		}
		took = append(took, s.Synced.Sub(since))
	}
	return took, nil
}
