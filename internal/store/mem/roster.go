package mem

import (
	"context"
	"fmt"
	"maps"

	"github.com/meridian-federation/meridian/internal/store"
)

// Claim implements store.Registry.
func (s *Store) Claim(ctx context.Context, name, owner string, prev int64) (store.Claim, error) {
	if err := s.usable(ctx); err != nil {
		return store.Claim{}, fmt.Errorf("claiming %s: %w", name, err)
	}
	d := s.data
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claims[name].Fence != prev {
		return store.Claim{}, fmt.Errorf("claiming %s: %w", name, store.ErrClaimed)
	}
	d.rev++
	d.claims[name] = store.Claim{Name: name, Owner: owner, Fence: d.rev}
	d.wakeRoster()
	return d.claims[name], nil
}

// WatchRoster implements store.Registry.
func (s *Store) WatchRoster(ctx context.Context, fn func(*store.Roster) error) error {
	for seen := -1; ; {
		if err := s.usable(ctx); err != nil {
			return fmt.Errorf("watching the roster: %w", err)
		}
		roster, at, changed := s.data.lookUp(seen)
		if roster != nil {
			if err := fn(roster); err != nil {
				return err
			}
			seen = at
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-s.closed:
		}
	}
}

// lookUp returns the roster, nil where it is the one that was seen, and what is closed when there may be another.
func (d *data) lookUp(seen int) (r *store.Roster, at int, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.roster == seen {
		return nil, seen, d.changed
	}
	r = &store.Roster{Members: map[string]store.Member{}, Claims: maps.Clone(d.claims)}
	for id, m := range d.members {
		r.Members[id] = m.member
	}
	if d.leader != nil {
		r.Leader = d.leader.id
	}
	return r, d.roster, d.changed
}
