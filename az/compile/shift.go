package compile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Shift is what a round of compilation changed in one cluster.
type Shift struct {
	// Edits put before they remove: puts in the order of application, removals in the opposite order. None leaves an object
	// as it was.
	Edits []feed.Edit
	// Applications were compiled, could not be, or stand otherwise for another reason; Gone are those that are bound here
	// no longer.
	Applications []Application
	Gone         []string
	// Problems are all of the cluster itself.
	Problems []record.Problem
	// Awaits are all the objects of which the compiler waits to hear what the cluster made of them.
	Awaits []record.Key
	// Complete: everything that the cluster should hold is known.
	Complete bool
}

// Application is one application that is bound to a cluster.
type Application struct {
	Binding record.Binding
	// Objects are those that it should have in the cluster.
	Objects []record.KeyVersion
	// Workload is the object whose replicas are counted, with the version compiled; zero while there is none.
	Workload record.KeyVersion
	// Current: the objects are those of the binding in force. Otherwise the first problem says why not.
	Current  bool
	Problems []record.Problem
}

// Name is NAMESPACE/APPLICATION.
func (a Application) Name() string {
	return record.ServiceName(a.Binding.Namespace, a.Binding.Application)
}

// edits are what a round came to, of what it touched.
func (t *target) edits() []feed.Edit {
	if len(t.touched) == 0 {
		return nil
	}
	type ranked struct {
		feed.Edit
		rank int
	}
	list := make([]ranked, 0, len(t.touched))
	for key, before := range t.touched {
		now := t.held[key].is
		switch {
		case now == nil && before.was != nil:
			list = append(list, ranked{feed.Remove(key, before.cause), 2*object.Classes - object.Rank(key)})
		case now != nil && (before.was == nil || before.was.Version != now.Version):
			list = append(list, ranked{feed.Put(now), object.Rank(key)})
		}
	}
	t.touched = map[record.Key]touch{}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.Key.Name, b.Key.Name))
	})
	out := make([]feed.Edit, len(list))
	for i := range list {
		out[i] = list[i].Edit
	}
	return out
}

// application tells how an application that is bound here stands.
func (c *Compiler) application(t *target, b *bound) Application {
	out := Application{Binding: b.binding}
	u := t.units[b.app.key(kindWorkload)]
	if u == nil {
		return out
	}
	out.Workload, out.Current = u.workload, u.made && u.problem == nil
	note := func(p *record.Problem) {
		if p != nil {
			out.Problems = append(out.Problems, *p)
		}
	}
	note(u.problem)
	units, p := []*unit{u}, c.targets[t.istiod]
	if p != nil {
		if config := p.units[b.app.key(kindConfig)]; config != nil {
			out.Current = out.Current && config.problem == nil
			if u.problem == nil || u.problem.Reason == reasonPrimaryBehind {
				note(config.problem)
			}
			if p == t {
				units = append(units, config)
			} else {
				out.Problems = append(out.Problems, p.refusals(subject{b.app.namespace, b.app.name, true})...)
			}
		}
	}
	for _, u := range units {
		for i := range u.objects {
			r := &u.objects[i].Record
			out.Objects = append(out.Objects, record.KeyVersion{Key: r.Key, Version: r.Version})
		}
	}
	out.Problems = append(out.Problems, c.uncalled(t, b)...)
	for i := range out.Problems {
		out.Problems[i].Cluster = t.cluster.Name
	}
	return out
}

// uncalled is why an application cannot call what it depends on, or not everywhere.
func (c *Compiler) uncalled(t *target, b *bound) []record.Problem {
	var out []record.Problem
	for _, d := range b.dependencies {
		if f := d.found[t.istiod]; f != nil {
			out = append(out, f.told()...)
		}
		calls := subject{d.namespace, d.name, false}
		out = append(out, t.refusals(calls)...)
		if p := c.targets[t.istiod]; p != nil && p != t {
			out = append(out, p.refusals(calls)...)
		}
	}
	return out
}
