package compile

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// unitID names a unit of any cluster.
type unitID struct {
	cluster string
	key     unitKey
}

// compare keeps an application's units together, so that its revision is decoded once for all of them.
func (id unitID) compare(o unitID) int {
	return cmp.Or(strings.Compare(id.key.namespace, o.key.namespace), strings.Compare(id.key.application, o.key.application),
		cmp.Compare(id.key.kind, o.key.kind), strings.Compare(id.key.part, o.key.part), strings.Compare(id.cluster, o.cluster))
}

// phases are the kinds in the order in which they are compiled: a stub goes when a workload is there, a namespace follows
// from all that is in it.
var phases = [...][]kind{{kindWorkload, kindConfig, kindCallee, kindChunk}, {kindStub}, {kindNamespace, kindGateway, kindRoot}}

// round collects what is to be compiled, with the cause of what goes, and what came of it.
type round struct {
	marks [kinds]map[unitID]record.Cause
	// stand are the applications that stand otherwise, by cluster.
	stand map[string]map[*app]struct{}
	// loose are revisions that lost a user, idle applications on which less hangs.
	loose map[record.Key]struct{}
	idle  map[*app]struct{}
	// found: what is compiled counts as being in the clusters.
	found bool
	// specs are those of which something was compiled.
	specs map[*spec]struct{}
}

func newRound() *round {
	r := &round{stand: map[string]map[*app]struct{}{}, loose: map[record.Key]struct{}{},
		idle: map[*app]struct{}{}, specs: map[*spec]struct{}{}}
	for k := range r.marks {
		r.marks[k] = map[unitID]record.Cause{}
	}
	return r
}

func (r *round) mark(cluster string, key unitKey, cause record.Cause) {
	marks, id := r.marks[key.kind], unitID{cluster, key}
	if known, ok := marks[id]; !ok || cause > known {
		marks[id] = cause
	}
}

// loosen notes that a revision, unless it is the zero key, and an application may be needed no longer.
func (r *round) loosen(revision record.Key, a *app) {
	if revision != (record.Key{}) {
		r.loose[revision] = struct{}{}
	}
	r.idle[a] = struct{}{}
}

// all yields what is marked of one cluster.
func (r *round) all(cluster string) iter.Seq[unitKey] {
	return func(yield func(unitKey) bool) {
		for _, marks := range r.marks {
			for id := range marks {
				if id.cluster == cluster && !yield(id.key) {
					return
				}
			}
		}
	}
}

// compile compiles what a round marked, phase by phase, and returns what changed in the clusters that are owned.
func (c *Compiler) compile(r *round) map[string]*Shift {
	out := map[string]*Shift{}
	for _, phase := range phases {
		var ids []unitID
		for _, k := range phase {
			ids = slices.AppendSeq(ids, maps.Keys(r.marks[k]))
		}
		slices.SortFunc(ids, unitID.compare)
		var jobs []*job
		crew := newCrew(len(ids))
		for _, id := range ids {
			t := c.targets[id.cluster]
			if t == nil || !t.mine && id.key.kind != kindCallee && id.key.kind != kindChunk {
				continue
			}
			if t.mine && out[id.cluster] == nil {
				out[id.cluster] = &Shift{}
			}
			if j := c.prepare(t, id.key, r.marks[id.key.kind][id], r); j != nil {
				jobs = append(jobs, j)
				crew.add(j)
				if j.spec != nil {
					r.specs[j.spec] = struct{}{}
				}
			}
		}
		crew.wait()
		for _, j := range jobs {
			j.accept()
		}
	}
	c.report(r, out)
	c.tidy(r)
	return out
}

// report fills in what changed.
func (c *Compiler) report(r *round, out map[string]*Shift) {
	for name := range out {
		c.pardon(c.targets[name], r)
	}
	for name := range r.stand {
		if t := c.targets[name]; t != nil && t.mine && out[name] == nil {
			out[name] = &Shift{}
		}
	}
	for name, s := range out {
		t := c.targets[name]
		s.Edits, s.Problems, s.Complete, s.Awaits = t.edits(), t.problems(), len(t.blank) == 0, t.awaits()
		for _, a := range slices.SortedFunc(maps.Keys(r.stand[name]), (*app).compare) {
			if b := a.bound[name]; b != nil {
				s.Applications = append(s.Applications, c.application(t, b))
			} else {
				s.Gone = append(s.Gone, a.id())
			}
		}
	}
}

// prepare gathers the inputs of a unit for a job; without one the unit is done with.
func (c *Compiler) prepare(t *target, key unitKey, cause record.Cause, r *round) *job {
	switch key.kind {
	case kindWorkload:
		return c.prepareWorkload(t, key, cause, r)
	case kindConfig:
		return c.prepareConfig(t, key, cause, r)
	case kindStub:
		return c.prepareStub(t, key, cause, r)
	case kindCallee:
		return c.prepareCallee(t, key, cause, r)
	case kindChunk:
		return c.prepareChunk(t, key, cause, r)
	case kindNamespace:
		c.compileNamespace(t, key, cause)
	case kindGateway:
		c.compileGateway(t, key, cause)
	case kindRoot:
		c.compileRoot(t, key, cause)
	}
	return nil
}

// standing notes that an application stands otherwise in a cluster.
func (r *round) standing(t *target, a *app) {
	name := t.cluster.Name
	if r.stand[name] == nil {
		r.stand[name] = map[*app]struct{}{}
	}
	r.stand[name][a] = struct{}{}
}

// tidy forgets the revisions that nobody wants any more, what else was compiled of those that are wanted, and the applications on which nothing hangs.
func (c *Compiler) tidy(r *round) {
	for key := range r.loose {
		if len(c.users[key]) == 0 {
			delete(c.specs, key)
		} else if s := c.specs[key]; s != nil {
			r.specs[s] = struct{}{}
		}
	}
	for s := range r.specs {
		s.settle()
	}
	for a := range r.idle {
		if a.idle() {
			delete(c.apps, a.id())
		}
	}
}
