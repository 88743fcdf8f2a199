package global

import (
	"strings"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// plan decides one application anew and returns what must be written for it. Applications whose decision hangs on this
// one are added to dirty. One whose spec is gone keeps what it has until its removal is due: the hub's cache is ahead of
// the queue, and the guard may hold it.
func (p *planner) plan(name string, removed map[string]record.Cause, dirty *todo) []store.Write {
	namespace, short, _ := strings.Cut(name, "/")
	now := p.force(name).read(p.mirror.Snapshot(), namespace, short)
	spec, ok := p.hub.applications.get(name)
	if !ok {
		cause, due := removed[name]
		if !due {
			return nil
		}
		return p.drop(name, namespace, now, cause, dirty)
	}
	app := p.apps[name]
	if app == nil {
		app = &application{leaving: record.CauseScope}
		p.apps[name] = app
		p.namespaces.add(namespace, name)
		p.appears(name)
		p.comes(name)
	}
	wants := declared(namespace, spec.Spec.DependsOn)
	app.now = now
	p.reindex(name, app, wants, now)

	p.quotas.settle(name, p.tenantOf(name))
	before := p.claims.of(name)
	in, refused := admit(spec, p.labels(namespace), p.inventory)
	var zones map[string]int32
	var unplaced *refusal
	if refused == nil {
		zones, unplaced = p.inventory.place(name, in.environment, &spec.Spec, now.assignments)
	}
	if refused == nil && unplaced == nil {
		refused = p.afford(name, spec, in.environment, zones)
	}
	if refused == nil {
		refused = p.claim(name, in.ids, dirty)
	}
	if refused != nil {
		writes := p.stand(name, app, spec, now, dirty)
		app.plan.refused = refused
		return writes
	}
	if app.plan.hash != in.hash && revised(now, in.hash) {
		app.leaving = record.CausePerson
	}
	app.environment = in.environment
	dependencies, unresolved := resolve(callerOf(name), wants, p.judge(name))
	if unplaced != nil {
		if len(now.assignments) > 0 {
			p.claims.hold(name, before)
		}
		writes := p.stand(name, app, spec, now, dirty)
		app.plan.unplaced, app.plan.unresolved = unplaced, unresolved
		return writes
	}
	p.charge(name, in.environment, &spec.Spec, zones)
	p.address(name, &spec.Spec)
	who, policy := p.compile(name, calleeOf(namespace, short, in.environment, spec.Spec.Ports))
	app.plan = decide(spec, in, policy, dependencies, zones, p.inventory, now.permitted(p.judge(name)), time.Now(), p.settled)
	app.plan.unresolved = unresolved
	p.meet(name, face{in.service != nil, who, policy.Version}, dirty)
	p.audiences.set(name, app.plan.follows, record.CausePerson)
	return app.plan.writes(now, app.leaving)
}

// force is what was in force of an application when it was last planned.
func (p *planner) force(name string) force {
	if app := p.apps[name]; app != nil {
		return app.now
	}
	return force{}
}

// revised tells whether assignments in force are of another revision: a person changed the spec.
func revised(now force, hash string) bool {
	for _, a := range now.assignments {
		if !a.Draining && a.Revision != hash {
			return true
		}
	}
	return false
}

// drop forgets an application whose spec is gone.
func (p *planner) drop(name, namespace string, now force, cause record.Cause, dirty *todo) []store.Write {
	if app := p.apps[name]; app != nil {
		for _, d := range app.dependencies {
			p.dependents.remove(d, name)
		}
		p.namespaces.remove(namespace, name)
		p.exceed(name, nil, nil)
		delete(p.apps, name)
		p.appears(name)
	}
	p.goes(name)
	p.quotas.settle(name, p.tenantOf(name))
	p.quotas.release(name)
	for _, waiter := range p.claims.forget(name) {
		dirty.add(waiter)
	}
	p.meet(name, face{}, dirty)
	p.audiences.set(name, consumer{}, cause)
	p.letGo(ownerApplication+name, cause)
	return now.removals(nil, cause)
}

// claim takes the objects that the application will own.
func (p *planner) claim(name string, ids []object.ID, dirty *todo) *refusal {
	freed, err := p.claims.take(name, ids)
	for _, waiter := range freed {
		dirty.add(waiter)
	}
	if err != nil {
		return &refusal{v1alpha1.ReasonObjectOwnedByAnother, err.Error()}
	}
	return nil
}

// reindex notes what the application's plan hangs on: what its spec depends on, and what its assignments in force do.
func (p *planner) reindex(name string, app *application, wants []string, now force) {
	for _, d := range app.dependencies {
		p.dependents.remove(d, name)
	}
	app.dependencies = append(app.dependencies[:0], wants...)
	for _, a := range now.assignments {
		app.dependencies = append(app.dependencies, a.Dependencies...)
	}
	for _, d := range app.dependencies {
		p.dependents.add(d, name)
	}
}

// labels are those of a Namespace at the hub.
func (p *planner) labels(namespace string) map[string]string {
	if ns, ok := p.hub.namespaces.get(namespace); ok {
		return ns.Labels
	}
	return nil
}

// newInventory reads the inventory's resources. Clusters that have a record and are not being removed stand.
func (p *planner) newInventory(removed map[string]record.Cause) *inventory {
	standing := map[string]record.Cluster{}
	for e := range p.mirror.Snapshot().All(record.KindCluster) {
		if _, gone := removed[e.Key.Name]; gone {
			continue
		}
		if c, err := record.DecodeCluster(e.Record); err == nil {
			c.Network = withoutMark(c.Network)
			standing[c.Name] = c
		}
	}
	r := p.hub.resources()
	r.podRanges, r.gateways, r.overlaps = p.pools.ofNetworks(), p.gateways(), p.overlapping()
	return newInventory(r, standing)
}

// inventoryWrites brings the cluster records up to date and has every application planned again when the inventory
// changed: which zones an application fits can depend on any part of it.
func (p *planner) inventoryWrites(w work, dirty *todo) []store.Write {
	if !w.inventory {
		return nil
	}
	p.inventory = p.newInventory(w.clusters)
	p.recharge()
	p.audiences.touchAll()
	var out []store.Write
	snapshot := p.mirror.Snapshot()
	for name := range p.guard.list() {
		if cluster, ok := strings.CutPrefix(name, clusterPrefix); ok && p.exists(cluster) {
			p.guard.back(name)
		}
	}
	for name, c := range p.inventory.clusters {
		r := c.Record()
		if e, ok := snapshot.Get(record.ClusterKey(name)); !ok || e.Version != r.Version {
			out = append(out, store.Write{Record: r})
		}
	}
	for name, cause := range w.clusters {
		if _, again := p.inventory.clusters[name]; again {
			continue
		}
		out = append(out, store.Write{Record: record.Record{Key: record.ClusterKey(name)}, Delete: true, Cause: cause})
	}
	p.clusterClaims(w)
	for name := range p.apps {
		dirty.add(name)
	}
	dirty.addAll(p.externals.all())
	for key := range p.callers.policies.specs {
		p.callers.touched[key] = true
	}
	return out
}

func (p *planner) exists(cluster string) bool {
	_, ok := p.hub.clusters.get(cluster)
	return ok
}
