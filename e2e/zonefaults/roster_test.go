//go:build linux

package zonefaults

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/meridian-federation/meridian/internal/store"
)

// roster follows who takes part in the zone, who leads it and who has claimed what, as etcd has it.
type roster struct {
	mu      sync.Mutex // guards all below
	members map[string]store.Member
	leader  string
	claims  map[string]store.Claim
	// taken is how often clusters were claimed, all together.
	taken int
}

// run follows the registry until ctx ends.
func (r *roster) run(ctx context.Context, registry store.Registry) error {
	err := registry.WatchRoster(ctx, func(now *store.Roster) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for name, c := range now.Claims {
			if c.Fence != r.claims[name].Fence {
				r.taken++
			}
		}
		r.members, r.leader, r.claims = maps.Clone(now.Members), now.Leader, maps.Clone(now.Claims)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listed are the members, sorted.
func (r *roster) listed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.members))
}

// leads is the replica that leads.
func (r *roster) leads() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader
}

// owners are the clusters' owners.
func (r *roster) owners() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{}
	for name, c := range r.claims {
		out[name] = c.Owner
	}
	return out
}

// takings is how often clusters were claimed, all together.
func (r *roster) takings() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}
