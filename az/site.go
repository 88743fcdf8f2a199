package az

import (
	"fmt"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
)

// site is one cluster as the zone sees it: what it should have of each application, what it acknowledged, what its agent
// reports. The board guards it.
type site struct {
	zone, region, cluster string
	// connected: its agent has a session. Since the cluster is owned here, the agent was once in sync, and once told all
	// that it has to report.
	connected, synced, told bool
	// fresh: it has told all in its present session.
	fresh   bool
	refused *feed.Refusal
	fence   feed.Fence
	// due is when its agent will have had the time to tell what it knows; zero when that has passed.
	due   time.Time
	items map[record.Key]*item
	// refusals are objects that are no application's own and that the cluster refused, as the compiler has heard.
	refusals map[record.Key]bool
	// awaited are objects of which the compiler waits to hear; settled: the agent was in sync in its present session.
	awaited map[record.Key]bool
	settled bool
	apps    map[string]*standing
	reports map[string]record.Status
	health  record.Health
	// located is where its agent says that applications are.
	located map[record.Key]record.Location
	// notes are the problems that the compiler has with the cluster itself.
	notes []record.Problem
}

// item is one object of an application.
type item struct {
	app *standing
	// want is the version compiled, have the one acknowledged last.
	want, have record.Version
	rejected   *feed.Rejection
}

func (i *item) settled() bool { return i.have == i.want && i.rejected == nil }

func newSite(zone, region, cluster string) *site {
	return &site{zone: zone, region: region, cluster: cluster, items: map[record.Key]*item{}, apps: map[string]*standing{},
		reports: map[string]record.Status{}, located: map[record.Key]record.Location{}}
}

// expect notes what an application compiled to.
func (s *site) expect(a compile.Application, at time.Time) {
	app := s.apps[a.Name()]
	if app == nil {
		app = &standing{}
		s.apps[a.Name()] = app
	}
	if app.binding.Revision != a.Binding.Revision {
		app.appliedAt = time.Time{}
	}
	app.binding, app.current, app.workload, app.notes = a.Binding, a.Current, a.Workload, a.Problems
	before := app.keys
	app.keys = make([]record.Key, 0, len(a.Objects))
	for _, o := range a.Objects {
		app.keys = append(app.keys, o.Key)
		s.want(app, o.Key, o.Version)
	}
	for _, key := range before {
		if !slices.Contains(app.keys, key) {
			s.unwant(app, key)
		}
	}
	if app.pending > 0 {
		app.appliedAt = time.Time{}
	} else if app.appliedAt.IsZero() {
		app.appliedAt = at
	}
}

func (s *site) want(app *standing, key record.Key, version record.Version) {
	it := s.items[key]
	if it == nil || it.app != app {
		fresh := &item{app: app, want: version}
		if it != nil { // another application had the object
			fresh.have, fresh.rejected = it.have, it.rejected
			it.app.leave(it)
		}
		s.items[key] = fresh
		app.join(fresh)
		return
	}
	app.leave(it)
	if it.want != version {
		it.want, it.rejected = version, nil
	}
	app.join(it)
}

func (s *site) unwant(app *standing, key record.Key) {
	if it := s.items[key]; it != nil && it.app == app {
		app.leave(it)
		delete(s.items, key)
	}
}

// gone drops an application.
func (s *site) gone(name string) {
	app := s.apps[name]
	if app == nil {
		return
	}
	for _, key := range app.keys {
		s.unwant(app, key)
	}
	delete(s.apps, name)
}

// acked notes one outcome, and returns the application if it now stands otherwise. Removals and what is no application's
// are of no account here.
func (s *site) acked(o feed.Outcome) (name string, changed bool) {
	it := s.items[o.Key]
	if it == nil || o.Held {
		return "", false
	}
	app := it.app
	was, wasRejected := app.pending, it.rejected
	app.leave(it)
	it.have, it.rejected = o.Version, o.Rejection
	if o.Version != it.want {
		it.rejected = nil
	}
	app.join(it)
	if app.pending == 0 && was > 0 {
		app.appliedAt = o.At
		if o.Found {
			app.appliedAt = time.Time{}
		}
	} else if app.pending > 0 {
		app.appliedAt = time.Time{}
	}
	return app.name(), (app.pending == 0) != (was == 0) || it.rejected != wasRejected
}

// wellbeing is the health that the zone reports of the cluster.
func (s *site) wellbeing() record.Health {
	h := s.health
	h.Cluster, h.Zone, h.Region = s.cluster, s.zone, s.region
	h.Connected, h.Applications = s.connected, int32(len(s.apps))
	h.Problems = slices.Concat(s.notes, s.health.Problems)
	if s.refused != nil {
		what := s.refused.Kind
		if what == feed.RefusedFence {
			what = feed.RefusedFloor // which is confirmed together
		}
		h.Problems = append(h.Problems, record.Problem{Reason: "Refused", Message: fmt.Sprintf("the agent takes nothing from "+
			"the zone: %s; if the zone's store was restored or replaced, run `meridian confirm %s --what %s`", s.refused.Reason,
			question.Path{Region: s.region, Zone: s.zone, Cluster: s.cluster}, what)})
	}
	for i := range h.Problems {
		h.Problems[i].Zone, h.Problems[i].Cluster = s.zone, s.cluster
	}
	h.Problems = rollup.Problems(h.Problems)
	return h
}
