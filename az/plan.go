package az

import (
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// planner keeps, incrementally, what the zone's placement depends on, and decides anew for the applications that a
// change concerns. One loop owns it.
type planner struct {
	// settled tells whether a cluster runs a binding; see task.
	settled func(record.Binding) bool
	// retained tells whether a revision is here only because a binding needed it when the region took it back.
	retained func(record.Key) bool

	weights  weights
	reweigh  bool // the weights changed and are not yet written
	clusters map[string]record.Cluster
	sorted   []record.Cluster // clusters by name; nil when it must be made anew
	apps     map[string]*placed
	dirty    map[string]struct{}
}

// placed is one application in the zone.
type placed struct {
	assignment *record.Assignment
	// cause is why the assignment went away, while it is nil.
	cause    record.Cause
	bindings map[string]record.Binding
	// terms are those of the revision termsOf.
	terms   *terms
	termsOf string
	problem *record.Problem
}

// decision is the outcome of one round.
type decision struct {
	writes []store.Write
	// spent are retained revisions that nothing needs after the writes.
	spent []record.Key
	meta  map[string][]byte
	// problems are those of the applications looked at; nil where there is none.
	problems map[string]*record.Problem
}

func newPlanner(w weights, settled func(record.Binding) bool, retained func(record.Key) bool) *planner {
	return &planner{settled: settled, retained: retained, weights: w, clusters: map[string]record.Cluster{},
		apps: map[string]*placed{}, dirty: map[string]struct{}{}}
}

// apply takes in changes of the store. Undecodable records are passed over: intake lets none in.
func (p *planner) apply(changes []store.Change) {
	for _, c := range changes {
		switch c.Key.Kind {
		case record.KindCluster:
			p.applyCluster(c)
		case record.KindAssignment:
			p.applyAssignment(c)
		case record.KindBinding:
			p.applyBinding(c)
		case record.KindRevision:
			if parts := c.Key.Parts(); len(parts) == 3 {
				p.mark(record.ServiceName(parts[0], parts[1]))
			}
		}
	}
}

func (p *planner) applyCluster(c store.Change) {
	if c.New == nil {
		delete(p.clusters, c.Key.Name)
		p.reweigh = p.weights.forget(c.Key.Name) || p.reweigh
	} else if cluster, err := record.DecodeCluster(c.New.Record); err == nil {
		p.clusters[cluster.Name] = cluster
	}
	p.sorted = nil
	p.markAll()
}

func (p *planner) applyAssignment(c store.Change) {
	parts := c.Key.Parts()
	if len(parts) != 3 {
		return
	}
	app := p.app(record.ServiceName(parts[0], parts[1]))
	if c.New == nil {
		app.assignment, app.cause = nil, c.Cause
		return
	}
	if a, err := record.DecodeAssignment(c.New.Record); err == nil {
		app.assignment = &a
	}
}

func (p *planner) applyBinding(c store.Change) {
	parts := c.Key.Parts()
	if len(parts) != 3 {
		return
	}
	app := p.app(record.ServiceName(parts[0], parts[1]))
	if c.New == nil {
		delete(app.bindings, parts[2])
		return
	}
	if b, err := record.DecodeBinding(c.New.Record); err == nil {
		app.bindings[parts[2]] = b
	}
}

// app returns an application's entry and marks it.
func (p *planner) app(name string) *placed {
	p.mark(name)
	app := p.apps[name]
	if app == nil {
		app = &placed{cause: record.CauseFound, bindings: map[string]record.Binding{}}
		p.apps[name] = app
	}
	return app
}

// mark has an application decided anew.
func (p *planner) mark(name string) { p.dirty[name] = struct{}{} }

func (p *planner) markAll() {
	for name := range p.apps {
		p.mark(name)
	}
}

// observe notes a cluster's number of nodes.
func (p *planner) observe(cluster string, nodes int32) {
	if _, known := p.clusters[cluster]; known && p.weights.observe(cluster, nodes) {
		p.reweigh = true
		p.markAll()
	}
}

// again has the applications of a decision, which was not written, decided anew.
func (p *planner) again(d decision) {
	for name := range d.problems {
		p.mark(name)
	}
	p.reweigh = p.reweigh || d.meta != nil
}

// leaving tells whether an application waits to leave a cluster, so that news of readiness matters to it.
func (p *planner) leaving(name string) bool {
	app := p.apps[name]
	if app == nil || app.assignment == nil || app.assignment.Draining {
		return false
	}
	for _, b := range app.bindings {
		if b.Draining {
			return true
		}
	}
	return false
}

// decide looks at every application marked and returns what to write: for each, bindings to put before those to remove.
func (p *planner) decide(snapshot *store.Snapshot) decision {
	d := decision{problems: make(map[string]*record.Problem, len(p.dirty))}
	if p.sorted == nil {
		p.sorted = slices.SortedFunc(maps.Values(p.clusters), func(a, b record.Cluster) int {
			return strings.Compare(a.Name, b.Name)
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.dirty)) {
		app := p.apps[name]
		if app == nil {
			continue
		}
		p.renew(name, app, snapshot, &d)
		d.problems[name] = app.problem
		if app.assignment == nil && len(app.bindings) == 0 {
			delete(p.apps, name)
		}
	}
	p.dirty = map[string]struct{}{} // one that was large once would be walked at its full size for ever
	if p.reweigh {
		d.meta, p.reweigh = map[string][]byte{metaWeights: p.weights.encode()}, false
	}
	return d
}

// renew adds to a decision what one application needs.
func (p *planner) renew(name string, app *placed, snapshot *store.Snapshot, d *decision) {
	want, cause, known := p.want(app, snapshot)
	if !known {
		return
	}
	for _, cluster := range slices.Sorted(maps.Keys(want)) {
		r := want[cluster].Record()
		if had, ok := app.bindings[cluster]; !ok || had.Record().Version != r.Version {
			d.writes = append(d.writes, store.Write{Record: r})
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(app.bindings)) {
		if _, stays := want[cluster]; !stays {
			key := record.BindingKey(app.bindings[cluster].Namespace, app.bindings[cluster].Application, cluster)
			d.writes = append(d.writes, store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause})
		}
	}
	d.spent = append(d.spent, p.spent(name, want, snapshot)...)
}

// want is what an application's bindings should be, and why others go; known is false while that cannot be told.
func (p *planner) want(app *placed, snapshot *store.Snapshot) (want map[string]record.Binding, cause record.Cause, known bool) {
	app.problem = nil
	if app.assignment == nil {
		return nil, app.cause, true
	}
	a := *app.assignment
	if !a.Draining && app.termsOf != a.Revision {
		e, ok := snapshot.Get(record.RevisionKey(a.Namespace, a.Application, a.Revision))
		if !ok {
			return nil, 0, false // it may yet arrive
		}
		t, err := readTerms(e.Record)
		if err != nil {
			app.problem = &record.Problem{Zone: a.Zone, Reason: "InvalidRevision", Message: err.Error()}
			return nil, 0, false
		}
		app.terms, app.termsOf = t, a.Revision
	}
	want, app.problem = task{assignment: a, terms: app.terms, clusters: p.sorted, weight: p.weights.of,
		current: app.bindings, settled: p.settled}.decide()
	return want, record.CauseScope, true
}

// spent lists the retained revisions of an application that no binding needs any more.
func (p *planner) spent(name string, want map[string]record.Binding, snapshot *store.Snapshot) []record.Key {
	needed := map[string]bool{}
	for _, b := range want {
		needed[b.Revision] = true
	}
	var out []record.Key
	for e := range snapshot.Prefix(record.KindRevision, name+"/") {
		if parts := e.Key.Parts(); len(parts) == 3 && !needed[parts[2]] && p.retained(e.Key) {
			out = append(out, e.Key)
		}
	}
	return out
}
