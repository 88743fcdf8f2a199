package az

import (
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// compiler turns the zone's records into the objects of the clusters that a shard owns, unit by unit: a change costs in
// proportion to the units that it concerns. One loop owns it.
type compiler struct {
	snapshot *store.Snapshot
	targets  map[string]*target
	specs    map[record.Key]*spec
	// users are the units that want a revision, callers those that depend on an application.
	users   map[record.Key]map[unitID]struct{}
	callers map[string]map[unitID]struct{}
	// thawed are revisions that were decoded in this round.
	thawed map[*spec]struct{}
	// loose are revisions that lost a user in this round; what nobody wants at its end is forgotten.
	loose []record.Key
}

func newCompiler() *compiler {
	return &compiler{snapshot: &store.Snapshot{}, targets: map[string]*target{}, specs: map[record.Key]*spec{},
		users: map[record.Key]map[unitID]struct{}{}, callers: map[string]map[unitID]struct{}{},
		thawed: map[*spec]struct{}{}}
}

// round collects what is to be compiled, with the cause of what goes.
type round struct {
	units map[unitID]record.Cause
}

func (r *round) mark(id unitID, cause record.Cause) {
	if known, ok := r.units[id]; !ok || cause > known {
		r.units[id] = cause
	}
}

// own takes clusters in, with all their bindings, and compiles them.
func (c *compiler) own(clusters ...record.Cluster) map[string]*shift {
	r := &round{units: map[unitID]record.Cause{}}
	fresh := make(map[string]*target, len(clusters))
	for _, cluster := range clusters {
		t := newTarget(cluster)
		c.targets[cluster.Name], fresh[cluster.Name] = t, t
		r.mark(unitID{cluster: cluster.Name}, record.CauseScope)
	}
	for e := range c.snapshot.All(record.KindBinding) {
		if _, cluster, ok := cutLast(e.Key.Name); ok && fresh[cluster] != nil {
			c.bind(e.Key, &e.Record, record.CauseScope, r)
		}
	}
	for _, t := range fresh {
		for id := range t.units {
			t.blank[id] = struct{}{}
		}
	}
	out := c.compile(r)
	for name := range fresh {
		if out[name] == nil {
			out[name] = &shift{complete: true}
		}
	}
	return out
}

// whole is all that a cluster has, as if it had just been compiled, but for the edits.
func (c *compiler) whole(cluster string) *shift {
	t := c.targets[cluster]
	s := &shift{complete: len(t.blank) == 0}
	for _, id := range slices.SortedFunc(maps.Keys(t.units), unitID.compare) {
		if id.application != "" {
			s.units = append(s.units, t.units[id])
		}
	}
	return s
}

// disown drops a cluster: another shard has it, or it is no longer Meridian's. Nothing is removed in it.
func (c *compiler) disown(cluster string) {
	t := c.targets[cluster]
	if t == nil {
		return
	}
	for _, u := range t.units {
		c.unlink(u)
	}
	delete(c.targets, cluster)
	c.tidy()
}

// apply takes in an update of the mirror and returns what changed, by cluster.
func (c *compiler) apply(u store.Update) map[string]*shift {
	c.snapshot = u.New
	r := &round{units: map[unitID]record.Cause{}}
	for _, change := range u.Changes {
		switch change.Key.Kind {
		case record.KindCluster:
			c.remesh(change, r)
		case record.KindBinding:
			if change.New != nil {
				c.bind(change.Key, &change.New.Record, record.CauseScope, r)
			} else {
				c.bind(change.Key, nil, change.Cause, r)
			}
		case record.KindRevision:
			if change.New != nil {
				for id := range c.users[change.Key] {
					r.mark(id, record.CauseScope)
				}
			}
		case record.KindService:
			for id := range c.callers[change.Key.Name] {
				r.mark(id, record.CauseScope)
			}
		}
	}
	return c.compile(r)
}

// compile compiles what a round marked: applications, then the namespaces that they touch. Each cluster's edits put
// before they remove, puts in the order of application, removals in the opposite order.
func (c *compiler) compile(r *round) map[string]*shift {
	out := map[string]*shift{}
	touched := map[unitID]record.Cause{}
	for _, id := range slices.SortedFunc(maps.Keys(r.units), unitID.compare) {
		t := c.targets[id.cluster]
		if t == nil {
			continue
		}
		s := out[id.cluster]
		if s == nil {
			s = &shift{}
			out[id.cluster] = s
		}
		switch {
		case id.namespace == "":
			objects, err := mesh.Root(t.cluster)
			if err == nil {
				t.replace(t.unit(id), objects, r.units[id], s)
			}
		case id.application == "":
			touched[id] = max(touched[id], r.units[id])
		default:
			c.compileApplication(t, t.units[id], r.units[id], s)
			space := unitID{cluster: id.cluster, namespace: id.namespace}
			touched[space] = max(touched[space], r.units[id])
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(touched), unitID.compare) {
		c.targets[id.cluster].compileNamespace(id, touched[id], out[id.cluster])
	}
	c.tidy()
	for cluster, s := range out {
		s.complete = len(c.targets[cluster].blank) == 0
		s.sort()
	}
	return out
}

// tidy forgets the revisions that nobody wants any more, and what those that were compiled look like decoded.
func (c *compiler) tidy() {
	for sp := range c.thawed {
		sp.decoded = nil
	}
	c.thawed = map[*spec]struct{}{}
	for _, key := range c.loose {
		if len(c.users[key]) == 0 {
			delete(c.specs, key)
		}
	}
	c.loose = nil
}

// compileApplication compiles one application in one cluster, or takes it away. If it cannot be compiled, what there is
// stays.
func (c *compiler) compileApplication(t *target, u *unit, cause record.Cause, s *shift) {
	if u == nil {
		return
	}
	if u.binding.Revision == "" {
		t.replace(u, nil, cause, s)
		if u.made != nil {
			t.inhabit(u.id.namespace, &u.traits, nil)
		}
		delete(t.units, u.id)
		delete(t.blank, u.id)
		s.gone = append(s.gone, u.id.app())
		return
	}
	s.units = append(s.units, u)
	sp := c.spec(u.wants)
	if sp == nil {
		u.problem = &record.Problem{Cluster: u.id.cluster, Reason: "RevisionMissing", Message: "revision " +
			u.binding.Revision + " has not arrived; what runs here stays until it does"}
		return
	}
	c.thawed[sp] = struct{}{}
	made := sp.compile(t.cluster, u.binding, c.services(u.binding))
	if made.err != nil {
		u.problem = &record.Problem{Cluster: u.id.cluster, Reason: "CompileFailed", Message: made.err.Error() +
			"; what runs here stays"}
		return
	}
	var before *traits
	if u.made != nil {
		held := u.traits
		before = &held
	}
	u.traits = traits{sp.revision.Environment, sp.revision.Tenant, sp.adopt}
	t.inhabit(u.id.namespace, before, &u.traits)
	u.made, u.problem = made, nil
	delete(t.blank, u.id)
	t.replace(u, made.objects, cause, s)
}

// spec returns a revision, decoded when it is first wanted; nil if it is not there.
func (c *compiler) spec(key record.Key) *spec {
	if s, ok := c.specs[key]; ok {
		return s
	}
	e, ok := c.snapshot.Get(key)
	if !ok {
		return nil
	}
	s := readSpec(e.Record)
	c.specs[key] = s
	return s
}

// services are the service records of a binding's dependencies, as far as they are known.
func (c *compiler) services(b record.Binding) []record.Service {
	var out []record.Service
	for _, d := range b.Dependencies {
		namespace, name, _ := strings.Cut(d, "/")
		if e, ok := c.snapshot.Get(record.ServiceKey(namespace, name)); ok {
			if s, err := record.DecodeService(e.Record); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}
