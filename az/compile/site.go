package compile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// place is a cluster where applications of others are ready.
type place struct {
	record.Place
	// identity is the version of all but how long it has been stale.
	identity record.Version
	// weightless: it has been stale for longer than it may be.
	weightless bool
}

// locate takes in a change of a location. A count or an address concerns how the application is found alone; that there is
// a place, or no longer, concerns whom its callers may send to as well.
func (c *Compiler) locate(change store.Change, r *round) {
	parts := change.Key.Parts()
	if len(parts) < 3 {
		return
	}
	a, cluster := c.app(parts[0], parts[1]), parts[2]
	by := 0
	switch {
	case change.Old == nil && change.New != nil:
		by = 1
	case change.Old != nil && change.New == nil:
		by = -1
		r.loosen(record.Key{}, a)
	}
	if by != 0 && count(&a.sites, cluster, by) {
		if a.sites[cluster] > 0 {
			add(c.located, cluster, a)
		} else {
			remove(c.located, cluster, a)
		}
		c.markCallers(a, false, record.CauseScope, r)
	}
	// That pods went is what their cluster's agent said, not something found missing: the guard must let it pass.
	cause := record.CausePerson
	if change.New == nil {
		cause = change.Cause
	}
	key := a.key(kindCallee)
	if len(parts) == 4 {
		key = a.chunk(cluster + "/" + parts[3])
	}
	own := c.configures(cluster)
	for istiod := range a.called {
		if istiod != own {
			r.mark(istiod, key, cause)
		}
	}
}

// configures names the istiod of a cluster of the zone; empty for clusters elsewhere.
func (c *Compiler) configures(cluster string) string {
	if known, ok := c.clusters[cluster]; ok {
		return istiodOf(known)
	}
	return ""
}

// site takes in a change of a place. That it is stale changes nothing before its time has come.
func (c *Compiler) site(change store.Change, now time.Time, r *round) {
	name := change.Key.Name
	old := c.places[name]
	if change.New == nil {
		delete(c.places, name)
		if old != nil {
			c.markPlace(name, true, change.Cause, r)
		}
		return
	}
	decoded, err := record.DecodePlace(change.New.Record)
	if err != nil {
		return
	}
	next := &place{Place: decoded}
	next.weightless = !c.deadline(next).IsZero() && !now.Before(c.deadline(next))
	blank := decoded
	blank.StaleSince = time.Time{}
	next.identity = blank.Record().Version
	c.places[name] = next
	moved := old == nil || old.identity != next.identity
	if moved || old.weightless != next.weightless {
		c.markPlace(name, moved, record.CausePerson, r)
	}
}

// markPlace has compiled how what is ready at a place is found, and if the place itself changed, who may send there.
func (c *Compiler) markPlace(name string, moved bool, cause record.Cause, r *round) {
	own := c.configures(name)
	for a := range c.located[name] {
		for istiod := range a.called {
			if istiod != own {
				c.markFound(a, istiod, name, cause, r)
			}
		}
		if moved {
			c.markCallers(a, false, record.CauseScope, r)
		}
	}
}

// deadline is when a place loses its weight; zero is never.
func (c *Compiler) deadline(p *place) time.Time {
	if c.cfg.StaleAfter <= 0 || p.StaleSince.IsZero() {
		return time.Time{}
	}
	return p.StaleSince.Add(c.cfg.StaleAfter)
}

// Due is when the next place loses its weight, as things stand; zero is never.
func (c *Compiler) Due() time.Time {
	var due time.Time
	for _, p := range c.places {
		if at := c.deadline(p); !at.IsZero() && !p.weightless && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	return due
}

// Age takes the weight of the places whose time has come, and returns what changed, by cluster.
func (c *Compiler) Age(now time.Time) map[string]*Shift {
	r := newRound()
	for name, p := range c.places {
		if at := c.deadline(p); !at.IsZero() && !p.weightless && !now.Before(at) {
			p.weightless = true
			c.markPlace(name, false, record.CausePerson, r)
		}
	}
	return c.compile(r)
}

// sites are the places where an application is beyond an istiod's group, by cluster. A place that has not arrived is none
// yet.
func (c *Compiler) sites(istiod string, a *app) []mesh.Site {
	out := make([]mesh.Site, 0, len(a.sites))
	for _, cluster := range slices.Sorted(maps.Keys(a.sites)) {
		p := c.places[cluster]
		if p == nil || c.configures(cluster) == istiod {
			continue
		}
		site := mesh.Site{Place: p.Place, Weightless: p.weightless}
		if l, ok := c.location(a, cluster); ok {
			site.Ready = l.Total()
		}
		out = append(out, site)
	}
	return out
}

// remotes are the places beyond its cluster where what a binding depends on is, by cluster: those under other istiods that
// locations tell of, and those of the group, which istiod knows by itself.
func (c *Compiler) remotes(t *target, b *bound) []record.Place {
	found := map[string]record.Place{}
	for _, d := range b.dependencies {
		if f := c.face(d); f != nil && f.Unproxied {
			continue // called from its own cluster alone
		}
		for cluster := range d.sites {
			if p := c.places[cluster]; p != nil && c.configures(cluster) != t.istiod {
				found[cluster] = p.Place
			}
		}
		for cluster := range d.bound {
			if other := c.targets[cluster]; other != nil && other != t && other.istiod == t.istiod {
				found[cluster] = placeOf(other.cluster)
			}
		}
	}
	out := make([]record.Place, 0, len(found))
	for _, p := range found {
		if p.StaleSince = (time.Time{}); !p.Meshless {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b record.Place) int { return strings.Compare(a.Cluster, b.Cluster) })
	return out
}
