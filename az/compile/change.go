package compile

import (
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Apply takes in an update of the zone's records at a time, and returns what changed, by cluster. Clusters that left the
// zone are disowned before. Undecodable records are passed over: intake lets none in.
func (c *Compiler) Apply(u store.Update, now time.Time) map[string]*Shift {
	c.snapshot = u.New
	r := newRound()
	clusters := map[string]*record.Cluster{}
	for _, change := range u.Changes {
		if change.Key.Kind == record.KindCluster {
			if change.New == nil {
				clusters[change.Key.Name] = nil
			} else if cluster, err := record.DecodeCluster(change.New.Record); err == nil && cluster.Zone == c.cfg.Zone {
				clusters[cluster.Name] = &cluster
			} else if err == nil {
				clusters[cluster.Name] = nil
			}
		}
	}
	if len(clusters) > 0 {
		c.regroup(clusters, r)
	}
	for _, change := range u.Changes {
		c.change(change, now, r)
	}
	return c.compile(r)
}

// change marks what hangs on one record.
func (c *Compiler) change(change store.Change, now time.Time, r *round) {
	switch change.Key.Kind {
	case record.KindBinding:
		if change.New != nil {
			c.bind(change.Key, &change.New.Record, record.CauseScope, r)
		} else {
			c.bind(change.Key, nil, change.Cause, r)
		}
	case record.KindRevision:
		if change.New != nil {
			for b := range c.users[change.Key] {
				if t := c.targets[b.binding.Cluster]; t != nil {
					c.markBound(t, b.app, record.CauseScope, r)
				}
			}
		}
	case record.KindService:
		if a := c.apps[change.Key.Name]; a != nil {
			a.face = nil
			cause := faceCause(a, change)
			c.markCallers(a, true, cause, r)
			c.markCalled(a, cause, r)
		}
	case record.KindPolicy:
		if a := c.apps[change.Key.Name]; a != nil {
			c.markOwn(a, r)
		}
	case record.KindAudience:
		if a := c.apps[change.Key.Name]; a != nil {
			a.heard = nil
			c.hear(a, r)
		}
	case record.KindLocation:
		c.locate(change, r)
	case record.KindPlace:
		c.site(change, now, r)
	}
}

// faceCause is why objects go that follow from a service record. An ExternalService is what a person wrote, whole: what goes
// of it was taken out of that, or goes for the record's own cause.
func faceCause(a *app, change store.Change) record.Cause {
	switch {
	case !a.external():
		return record.CauseScope
	case change.New == nil:
		return change.Cause
	default:
		return record.CausePerson
	}
}

// markCallers has compiled what an application's callers are made of: their workloads, and if it concerns that also, their
// config.
func (c *Compiler) markCallers(a *app, config bool, cause record.Cause, r *round) {
	for b := range a.callers {
		t := c.targets[b.binding.Cluster]
		if t == nil {
			continue
		}
		r.mark(b.binding.Cluster, b.app.key(kindWorkload), cause)
		if config {
			r.mark(t.istiod, b.app.key(kindConfig), cause)
		}
	}
}

// markCalled has compiled what an application looks like to those that call it.
func (c *Compiler) markCalled(a *app, cause record.Cause, r *round) {
	for cluster := range a.demand {
		markStub(cluster, a, cause, r)
	}
	for istiod := range a.called {
		markStub(istiod, a, cause, r)
		c.markFound(a, istiod, "", cause, r)
	}
}

// markStub has compiled the Service of an application where it does not run. ExternalServices have none.
func markStub(cluster string, a *app, cause record.Cause, r *round) {
	if !a.external() {
		r.mark(cluster, a.key(kindStub), cause)
	}
}

// markOwn has an application's own units compiled wherever it is bound.
func (c *Compiler) markOwn(a *app, r *round) {
	for cluster := range a.bound {
		if t := c.targets[cluster]; t != nil {
			c.markBound(t, a, record.CauseScope, r)
		}
	}
}

// hear takes in another audience of an application: who sees it, and from where.
func (c *Compiler) hear(a *app, r *round) {
	for cluster := range a.bound {
		if t := c.targets[cluster]; t != nil {
			r.mark(cluster, a.key(kindWorkload), record.CauseScope)
			c.reexport(t.istiod, a, r)
		}
	}
	c.markCalled(a, record.CauseScope, r)
}
