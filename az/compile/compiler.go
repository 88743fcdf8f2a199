package compile

import (
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Config is what a Compiler needs to know beside records.
type Config struct {
	Zone string
	// StaleAfter is how long a place may be stale before it loses its weight; zero is for ever.
	StaleAfter time.Duration
}

// Compiler holds what the clusters that a shard owns should have. One loop owns it.
type Compiler struct {
	cfg      Config
	snapshot *store.Snapshot
	// clusters are the zone's, groups the clusters that each istiod configures, targets those whose bindings are followed.
	clusters map[string]record.Cluster
	groups   map[string]map[string]struct{}
	targets  map[string]*target
	apps     map[string]*app
	// places are all that are known; located are the applications with locations there.
	places  map[string]*place
	located map[string]map[*app]struct{}
	// specs are revisions in use, users the bindings that name them.
	specs map[record.Key]*spec
	users map[record.Key]map[*bound]struct{}
}

// New returns a Compiler that knows nothing and owns no cluster.
func New(cfg Config) *Compiler {
	return &Compiler{cfg: cfg, snapshot: &store.Snapshot{}, clusters: map[string]record.Cluster{},
		groups: map[string]map[string]struct{}{}, targets: map[string]*target{}, apps: map[string]*app{},
		places: map[string]*place{}, located: map[string]map[*app]struct{}{}, specs: map[record.Key]*spec{},
		users: map[record.Key]map[*bound]struct{}{}}
}

// Own takes clusters in, which are in the inventory, and compiles all that they should hold. The result has a Shift for
// each, and for others that the taking changed.
func (c *Compiler) Own(names ...string) map[string]*Shift {
	r := newRound()
	r.found = true
	fresh := map[string]struct{}{}
	for _, name := range names {
		cluster, known := c.clusters[name]
		if !known {
			continue
		}
		for member := range c.groups[istiodOf(cluster)] {
			if c.targets[member] == nil {
				fresh[member] = struct{}{}
			}
		}
	}
	c.follow(fresh, record.CauseScope, r)
	for _, name := range names {
		if t := c.targets[name]; t != nil && !t.mine {
			t.mine = true
			c.markTarget(t, record.CauseScope, r)
			for id := range r.all(name) {
				t.blank[id] = struct{}{}
			}
			t.reserve(len(t.blank))
		}
	}
	out := c.compile(r)
	for _, name := range names {
		if out[name] == nil && c.targets[name] != nil {
			out[name] = &Shift{Complete: true}
		}
	}
	return out
}

// Whole tells how all applications of a cluster stand, as if it had just been compiled, but for the edits.
func (c *Compiler) Whole(name string) *Shift {
	t := c.targets[name]
	s := &Shift{Problems: t.problems(), Awaits: t.awaits(), Complete: len(t.blank) == 0}
	for _, a := range c.sorted() {
		if b := a.bound[name]; b != nil {
			s.Applications = append(s.Applications, c.application(t, b))
		}
	}
	return s
}

// Disown drops a cluster: another shard has it, or it is no longer Meridian's. Nothing is removed in it.
func (c *Compiler) Disown(name string) {
	t := c.targets[name]
	if t == nil || !t.mine {
		return
	}
	t.mine = false
	t.clear()
	if !c.concerned(t.istiod) {
		r := newRound() // what follows from it is nobody's here
		for member := range c.groups[t.istiod] {
			c.unfollow(member, record.CauseScope, r)
		}
		c.tidy(r)
	}
}

// concerned tells whether a cluster of an istiod's group is owned.
func (c *Compiler) concerned(istiod string) bool {
	for member := range c.groups[istiod] {
		if t := c.targets[member]; t != nil && t.mine {
			return true
		}
	}
	return false
}

// sorted are the applications by namespace and name.
func (c *Compiler) sorted() []*app {
	out := make([]*app, 0, len(c.apps))
	for _, a := range c.apps {
		out = append(out, a)
	}
	slices.SortFunc(out, (*app).compare)
	return out
}
