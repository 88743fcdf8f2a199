package compile

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// istiodOf names the cluster whose istiod configures this one.
func istiodOf(c record.Cluster) string {
	if c.Mesh.Primary != "" {
		return c.Mesh.Primary
	}
	return c.Name
}

// shapeOf is the version of all of a cluster that objects depend on, wherever they are written: clusters of one shape get
// the same bytes from the same records.
func shapeOf(c record.Cluster) record.Version {
	if c.Mesh.Primary == c.Name {
		c.Mesh.Primary = ""
	}
	c.Name, c.Labels, c.Taints, c.Environments = "", nil, nil, nil
	return c.Record().Version
}

// placeOf is a cluster of the zone as others of its group find it.
func placeOf(c record.Cluster) record.Place {
	return record.Place{Cluster: c.Name, Region: c.Region, Zone: c.Zone, Network: c.Network, Gateways: c.Mesh.Gateway.Addresses,
		Primary: istiodOf(c), Meshless: c.Mesh.Dataplane == string(v1alpha1.DataplaneNone)}
}

// outside is which consumers of what runs in a cluster are under another istiod: for all that the inventory tells.
type outside struct {
	// here: there are other istiods in the zone; flat: some are on the cluster's network.
	here, flat bool
}

func (c *Compiler) outsideOf(t *target) outside {
	var o outside
	for istiod, members := range c.groups {
		if istiod == t.istiod {
			continue
		}
		o.here = true
		for name := range members {
			o.flat = o.flat || t.cluster.Network != "" && c.clusters[name].Network == t.cluster.Network
		}
	}
	return o
}

// regroup takes in clusters that came, changed or went. Those that are followed are linked anew with all that they have,
// which is in proportion to the group; that happens when a person changes the inventory.
func (c *Compiler) regroup(changed map[string]*record.Cluster, r *round) {
	stirred := map[string]struct{}{}
	for name, now := range changed {
		before, known := c.clusters[name]
		if known && now != nil && shapeOf(before) == shapeOf(*now) {
			c.clusters[name] = *now
			if t := c.targets[name]; t != nil {
				t.cluster = *now
			}
			continue
		}
		if known {
			istiod := istiodOf(before)
			stirred[istiod] = struct{}{}
			remove(c.groups, istiod, name)
			delete(c.clusters, name)
		}
		if now != nil {
			istiod := istiodOf(*now)
			stirred[istiod] = struct{}{}
			add(c.groups, istiod, name)
			c.clusters[name] = *now
		}
	}
	if len(stirred) > 0 {
		c.refollow(stirred, changed, r)
	}
}

// refollow links the groups that were stirred anew, and has their units compiled, and those elsewhere for whom the zone
// looks otherwise.
func (c *Compiler) refollow(stirred map[string]struct{}, changed map[string]*record.Cluster, r *round) {
	owned := map[string]*target{}
	for _, name := range slices.Sorted(maps.Keys(c.targets)) {
		t := c.targets[name]
		_, itself := changed[name]
		_, group := stirred[t.istiod]
		if !itself && !group {
			continue
		}
		if t.mine {
			owned[name] = t
			c.markTarget(t, record.CausePerson, r)
		}
		c.unfollow(name, record.CausePerson, r)
	}
	again := map[string]struct{}{}
	for name, t := range owned {
		cluster, known := c.clusters[name]
		if !known {
			continue // the shard disowns what leaves the zone
		}
		for member := range c.groups[istiodOf(cluster)] {
			if c.targets[member] == nil {
				again[member] = struct{}{}
			}
		}
		t.cluster, t.shape, t.istiod = cluster, shapeOf(cluster), istiodOf(cluster)
		c.targets[name] = t
	}
	for name := range owned {
		again[name] = struct{}{}
	}
	c.follow(again, record.CausePerson, r)
	for name := range owned {
		if t := c.targets[name]; t != nil {
			c.markTarget(t, record.CausePerson, r)
		}
	}
	for _, t := range c.targets {
		if o := c.outsideOf(t); t.outside != o {
			t.outside = o
			c.markWorkloads(t, record.CausePerson, r)
		}
	}
}

// follow begins to follow clusters: those that are no targets yet become such, of nobody, and all their bindings are
// linked.
func (c *Compiler) follow(names map[string]struct{}, cause record.Cause, r *round) {
	if len(names) == 0 {
		return
	}
	for name := range names {
		if c.targets[name] == nil {
			c.targets[name] = newTarget(c.clusters[name], istiodOf(c.clusters[name]))
		}
		c.targets[name].outside = c.outsideOf(c.targets[name])
	}
	for e := range c.snapshot.All(record.KindBinding) {
		if _, cluster, ok := cutLast(e.Key.Name); ok {
			if _, wanted := names[cluster]; wanted {
				c.bind(e.Key, &e.Record, cause, r)
			}
		}
	}
}

// unfollow drops a cluster's bindings, and the target.
func (c *Compiler) unfollow(name string, cause record.Cause, r *round) {
	t := c.targets[name]
	if t == nil {
		return
	}
	for _, a := range c.sorted() {
		if b := a.bound[name]; b != nil {
			c.unlink(t, b, cause, r)
		}
	}
	clear(t.exported)
	delete(c.targets, name)
}

// markTarget has all units of a cluster compiled: those that it has, and those that its group's bindings ask for.
func (c *Compiler) markTarget(t *target, cause record.Cause, r *round) {
	name := t.cluster.Name
	for key := range t.units {
		r.mark(name, key, cause)
	}
	for _, a := range c.apps {
		if a.bound[name] != nil {
			r.mark(name, a.key(kindWorkload), cause)
		}
		if a.demand[name] > 0 || t.governs() && a.called[name] > 0 {
			markStub(name, a, cause, r)
		}
		if !t.governs() {
			continue
		}
		for member := range c.groups[name] {
			if a.bound[member] != nil {
				r.mark(name, a.key(kindConfig), cause)
			}
		}
		if a.called[name] > 0 {
			c.markFound(a, name, "", cause, r)
		}
	}
	for part := range t.exported {
		r.mark(name, unitKey{kind: kindGateway, part: part}, cause)
	}
	r.mark(name, unitKey{kind: kindRoot}, cause)
}

// markWorkloads has the workloads of a cluster compiled.
func (c *Compiler) markWorkloads(t *target, cause record.Cause, r *round) {
	for key := range t.units {
		if key.kind == kindWorkload {
			r.mark(t.cluster.Name, key, cause)
		}
	}
}
