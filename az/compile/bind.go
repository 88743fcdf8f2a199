package compile

import (
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

func (a *app) compare(o *app) int {
	if c := strings.Compare(a.namespace, o.namespace); c != 0 {
		return c
	}
	return strings.Compare(a.name, o.name)
}

// bind takes in a binding of a cluster that is followed, or its removal.
func (c *Compiler) bind(key record.Key, r *record.Record, cause record.Cause, round *round) {
	parts := key.Parts()
	if len(parts) != 3 {
		return
	}
	t := c.targets[parts[2]]
	if t == nil {
		return
	}
	a := c.apps[record.ServiceName(parts[0], parts[1])]
	var old *bound
	if a != nil {
		old = a.bound[parts[2]]
	}
	if r == nil {
		if old != nil {
			c.unlink(t, old, cause, round)
			c.settle(t, a, cause, round)
		}
		return
	}
	b, err := record.DecodeBinding(*r)
	if err != nil {
		return
	}
	if old != nil && old.binding.Revision != b.Revision {
		cause = record.CausePerson // the spec was changed
	}
	// The new one is linked first, so that what both depend on is not counted out and in again.
	a = c.app(parts[0], parts[1])
	c.link(t, a, b, cause, round)
	if old != nil {
		c.unlinkFrom(t, old, cause, round)
		return
	}
	c.settle(t, a, cause, round)
}

// link notes a binding, and has its units compiled.
func (c *Compiler) link(t *target, a *app, b record.Binding, cause record.Cause, r *round) {
	next := &bound{app: a, binding: b, revision: record.RevisionKey(b.Namespace, b.Application, b.Revision)}
	if a.bound == nil {
		a.bound = map[string]*bound{}
	}
	a.bound[t.cluster.Name] = next
	add(c.users, next.revision, next)
	for _, d := range b.Dependencies {
		namespace, name, ok := strings.Cut(d, "/")
		if !ok {
			continue
		}
		dep := c.app(namespace, name)
		next.dependencies = append(next.dependencies, dep)
		if dep.callers == nil {
			dep.callers = map[*bound]struct{}{}
		}
		dep.callers[next] = struct{}{}
		c.call(t, dep, 1, cause, r)
	}
	c.markBound(t, a, cause, r)
	c.reexport(t.istiod, a, r)
}

// unlink forgets a binding, and has its units compiled.
func (c *Compiler) unlink(t *target, b *bound, cause record.Cause, r *round) {
	delete(b.app.bound, t.cluster.Name)
	c.unlinkFrom(t, b, cause, r)
	c.markBound(t, b.app, cause, r)
	c.reexport(t.istiod, b.app, r)
}

// unlinkFrom takes a binding out of what it depends on and wants.
func (c *Compiler) unlinkFrom(t *target, b *bound, cause record.Cause, r *round) {
	remove(c.users, b.revision, b)
	r.loosen(b.revision, b.app)
	for _, dep := range b.dependencies {
		delete(dep.callers, b)
		c.call(t, dep, -1, cause, r)
		r.loosen(record.Key{}, dep)
	}
}

// call counts a binding that depends on an application, and has compiled what hangs on there being any.
func (c *Compiler) call(t *target, dep *app, by int, cause record.Cause, r *round) {
	if count(&dep.demand, t.cluster.Name, by) {
		markStub(t.cluster.Name, dep, cause, r)
	}
	if count(&dep.called, t.istiod, by) {
		markStub(t.istiod, dep, cause, r)
		c.markFound(dep, t.istiod, "", cause, r)
	}
}

// markBound has an application's own units compiled.
func (c *Compiler) markBound(t *target, a *app, cause record.Cause, r *round) {
	r.mark(t.cluster.Name, a.key(kindWorkload), cause)
	r.mark(t.istiod, a.key(kindConfig), cause)
}

// settle notes that an application came to a cluster or left it: those of the group that call it from elsewhere reach it
// there, or no longer.
func (c *Compiler) settle(t *target, a *app, cause record.Cause, r *round) {
	if len(c.groups[t.istiod]) < 2 {
		return
	}
	for b := range a.callers {
		if other := c.targets[b.binding.Cluster]; other != nil && other != t && other.istiod == t.istiod {
			r.mark(b.binding.Cluster, b.app.key(kindWorkload), cause)
		}
	}
}

// reexport notes whether an application of an istiod's group is called from other networks.
func (c *Compiler) reexport(istiod string, a *app, r *round) {
	p := c.targets[istiod]
	if p == nil {
		return
	}
	wanted := false
	for member := range c.groups[istiod] {
		wanted = wanted || a.bound[member] != nil
	}
	if wanted {
		wanted = false
		for _, network := range c.audience(a).Networks {
			wanted = wanted || network != p.cluster.Network
		}
	}
	id := a.id()
	part := mesh.GatewayPart(id)
	if _, is := p.exported[part][id]; is == wanted {
		return
	}
	if wanted {
		add(p.exported, part, id)
	} else {
		remove(p.exported, part, id)
	}
	r.mark(istiod, unitKey{kind: kindGateway, part: part}, record.CauseScope)
}

func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}
