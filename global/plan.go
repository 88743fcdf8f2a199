package global

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// force is what the records of one application say now.
type force struct {
	assignments map[string]record.Assignment // by zone
	records     map[record.Key]record.Version
}

// inForce reads the records of one application from a snapshot.
func inForce(snapshot *store.Snapshot, namespace, name string) force {
	return force{}.read(snapshot, namespace, name)
}

// read reads them anew, and decodes only those that have changed. The assignments are shared: nobody changes them.
func (before force) read(snapshot *store.Snapshot, namespace, name string) force {
	f := force{assignments: map[string]record.Assignment{}, records: map[record.Key]record.Version{}}
	prefix := record.ServiceName(namespace, name) + "/"
	for _, kind := range []record.Kind{record.KindRevision, record.KindAssignment} {
		for e := range snapshot.Prefix(kind, prefix) {
			f.records[e.Key] = e.Version
			if kind != record.KindAssignment {
				continue
			}
			zone := e.Key.Name[len(prefix):]
			if a, ok := before.assignments[zone]; ok && before.records[e.Key] == e.Version {
				f.assignments[zone] = a
			} else if a, err := record.DecodeAssignment(e.Record); err == nil {
				f.assignments[a.Zone] = a
			}
		}
	}
	for _, key := range []record.Key{record.ServiceKey(namespace, name), record.PolicyKey(namespace, name)} {
		if e, ok := snapshot.Get(key); ok {
			f.records[key] = e.Version
		}
	}
	return f
}

// plan is what Global makes of one application.
type plan struct {
	generation int64
	hash       string // of the revision that is in force after this plan
	refused    *refusal
	unplaced   *refusal
	unresolved *refusal
	// desired are the zones that should run the application; a zone that is being left is not among them.
	desired map[string]record.Assignment
	// draining says that zones are left once the application is ready where it should be; scaled, that an autoscaler of
	// its own decides on its replicas there.
	draining, scaled bool
	// follows is what the application depends on and where, the zones that are being left included.
	follows consumer
	// address is what the application has that asks for one. The board fills it in.
	address *address
	// records that should exist after it; nil when nothing can be decided and all stays as it is.
	records []record.Record
}

// decide turns an admitted application, with its policy, into the records that should exist. settled tells whether a set of assignments
// is ready at the revision, so that zones being left can be let go.
func decide(app *v1alpha1.Application, in *admitted, policy record.Record, dependencies []string, zones map[string]int32,
	inv *inventory, now force, at time.Time, settled func(map[string]record.Assignment, bool) bool) plan {
	out := plan{generation: app.Generation, hash: in.hash, scaled: in.scaled(), desired: map[string]record.Assignment{}}
	accepted, generation := at, mesh.Generation
	for _, a := range now.assignments {
		if a.Revision == in.hash && !a.Draining {
			accepted, generation = a.AcceptedAt, a.Generation
		}
	}
	for name, replicas := range zones {
		out.desired[name] = record.Assignment{Namespace: app.Namespace, Application: app.Name, Zone: name,
			Region: inv.zones[name].region, Revision: in.hash, Replicas: replicas, Generation: generation,
			Dependencies: dependencies, AcceptedAt: accepted}
	}
	out.records = append(out.records, in.revision, policy)
	if in.service != nil {
		out.records = append(out.records, *in.service)
	}
	for _, name := range slices.Sorted(maps.Keys(out.desired)) {
		out.records = append(out.records, out.desired[name].Record())
		out.follows.add(out.desired[name])
	}
	out.leave(inv, now, sync.OnceValue(func() bool { return settled(out.desired, out.scaled) }))
	return out
}

// leave keeps the assignments of zones that are being left, and the revisions that they run, until the application is
// ready where it should be. A zone that is gone from the inventory is let go at once.
func (p *plan) leave(inv *inventory, now force, settled func() bool) {
	kept := map[string]bool{p.hash: true}
	for _, name := range slices.Sorted(maps.Keys(now.assignments)) {
		a := now.assignments[name]
		if _, ok := p.desired[name]; ok {
			continue
		}
		if _, exists := inv.zones[name]; !exists || settled() {
			continue
		}
		p.draining = true
		a.Draining = true
		p.records = append(p.records, a.Record())
		p.follows.add(a)
		if !kept[a.Revision] {
			kept[a.Revision] = true
			key := record.RevisionKey(a.Namespace, a.Application, a.Revision)
			p.records = append(p.records, record.Record{Key: key, Version: now.records[key]})
		}
	}
}

// writes is the difference between a plan and the records in force: puts first, then removals with their cause.
func (p *plan) writes(now force, cause record.Cause) []store.Write {
	var out []store.Write
	keep := make(map[record.Key]bool, len(p.records))
	for _, r := range p.records {
		keep[r.Key] = true
		if now.records[r.Key] != r.Version {
			out = append(out, store.Write{Record: r})
		}
	}
	return append(out, now.removals(keep, cause)...)
}

// removals takes away every record in force that is not kept, assignments first: they refer to the others.
func (f force) removals(keep map[record.Key]bool, cause record.Cause) []store.Write {
	var out []store.Write
	for _, key := range slices.SortedFunc(maps.Keys(f.records), record.Key.Compare) {
		if !keep[key] {
			out = append(out, store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause})
		}
	}
	return out
}
