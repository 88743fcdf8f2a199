package global

import (
	"fmt"
	"maps"
	"slices"

	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// standing is the plan of an application about which nothing new can be decided: what it has, it keeps, the zones that
// are being left among it.
func standing(spec *v1alpha1.Application, now force) plan {
	out := plan{generation: spec.Generation, desired: map[string]record.Assignment{}}
	for zone, a := range now.assignments {
		if a.Draining {
			continue
		}
		out.desired[zone], out.hash = a, a.Revision
	}
	return out
}

// stand keeps what an application has whose spec is refused or fits nowhere, but for who calls whom: that follows the
// policies of now, whatever runs.
func (p *planner) stand(name string, app *application, spec *v1alpha1.Application, now force, dirty *todo) []store.Write {
	app.plan = standing(spec, now)
	if len(now.assignments) == 0 {
		p.exceed(name, nil, nil)
		p.meet(name, face{}, dirty)
		p.audiences.set(name, consumer{}, record.CausePerson)
		return nil
	}
	running, wants, err := p.running(now)
	if err != nil {
		p.log.Error("what runs cannot be read; its policy and dependencies stay as they are", "application", name, "error", err)
		return nil
	}
	app.environment = running.environment
	p.reindex(name, app, append(wants, app.dependencies...), now)
	who, policy := p.compile(name, running)
	var out []store.Write
	put := func(r record.Record) {
		if now.records[r.Key] != r.Version {
			out = append(out, store.Write{Record: r})
		}
	}
	put(policy)
	resolved, _ := resolve(callerOf(name), wants, p.judge(name))
	permitted := now.permitted(p.judge(name))
	for _, zone := range slices.Sorted(maps.Keys(permitted.assignments)) {
		a := permitted.assignments[zone]
		if !a.Draining {
			a.Dependencies = resolved
			app.plan.desired[zone] = a
		}
		app.plan.follows.add(a)
		put(a.Record())
	}
	_, callable := now.records[record.ServiceKey(running.namespace, running.application)]
	p.meet(name, face{callable, who, policy.Version}, dirty)
	p.audiences.set(name, app.plan.follows, record.CausePerson)
	return out
}

// running reads from the revision in force what others see of the application, and what it depends on.
func (p *planner) running(now force) (callee, []string, error) {
	var of record.Assignment
	for _, zone := range slices.Sorted(maps.Keys(now.assignments)) {
		if a := now.assignments[zone]; of.Revision == "" || of.Draining && !a.Draining {
			of = a
		}
	}
	key := record.RevisionKey(of.Namespace, of.Application, of.Revision)
	e, ok := p.mirror.Snapshot().Get(key)
	if !ok {
		return callee{}, nil, fmt.Errorf("reading %s: it is not there", key)
	}
	revision, err := record.DecodeRevision(e.Record)
	if err != nil {
		return callee{}, nil, err
	}
	var spec v1alpha1.ApplicationSpec
	if err := kjson.Unmarshal(revision.Spec, &spec); err != nil {
		return callee{}, nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return calleeOf(of.Namespace, of.Application, revision.Environment, spec.Ports), declared(of.Namespace, spec.DependsOn), nil
}

// permitted leaves out of all assignments what their application may no longer depend on.
func (f force) permitted(judge func(other string) verdict) force {
	out := force{assignments: make(map[string]record.Assignment, len(f.assignments)), records: f.records}
	for zone, a := range f.assignments {
		a.Dependencies = slices.DeleteFunc(slices.Clone(a.Dependencies), func(d string) bool { return judge(d).reason != "" })
		out.assignments[zone] = a
	}
	return out
}
