package az

import (
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
)

// site is one cluster as the zone sees it: what it should have of each application, what it acknowledged, what its agent
// reports. The board guards it.
type site struct {
	zone, region, cluster string
	// connected: its agent has a session. heard: since the zone started, the agent was once in sync.
	connected, heard bool
	refused          *feed.Refusal
	items            map[record.Key]*item
	apps             map[string]*standing
	reports          map[string]record.Status
	health           record.Health
}

// item is one object of an application.
type item struct {
	app *standing
	// want is the version compiled, have the one acknowledged last.
	want, have record.Version
	rejected   *feed.Rejection
}

func (i *item) settled() bool { return i.have == i.want && i.rejected == nil }

// standing is one application in one cluster.
type standing struct {
	binding record.Binding
	// current: the objects are those of the binding; otherwise problem says why not.
	current  bool
	problem  *record.Problem
	workload record.KeyVersion
	keys     []record.Key
	// pending is the number of items that are not settled.
	pending int
	// appliedAt is when the last item was settled; zero where that was before the zone started.
	appliedAt time.Time
}

func newSite(zone, region, cluster string) *site {
	return &site{zone: zone, region: region, cluster: cluster, items: map[record.Key]*item{}, apps: map[string]*standing{},
		reports: map[string]record.Status{}}
}

// expect notes what a unit compiled to.
func (s *site) expect(u unit, at time.Time) {
	app := s.apps[u.id.app()]
	if app == nil {
		app = &standing{}
		s.apps[u.id.app()] = app
	}
	if app.binding.Revision != u.binding.Revision {
		app.appliedAt = time.Time{}
	}
	app.binding, app.current, app.problem = u.binding, u.current(), u.problem
	if u.made != nil {
		app.workload = u.made.workload
	}
	before := app.keys
	app.keys = make([]record.Key, 0, len(u.objects))
	for _, o := range u.objects {
		app.keys = append(app.keys, o.Record.Key)
		s.want(app, o.Record.Key, o.Record.Version)
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

func (a *standing) join(it *item) {
	if !it.settled() {
		a.pending++
	}
}

func (a *standing) leave(it *item) {
	if !it.settled() {
		a.pending--
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

func (a *standing) name() string {
	return record.ServiceName(a.binding.Namespace, a.binding.Application)
}

// known tells whether what is said of an application here is more than what the zone assumes at its start.
func (s *site) known(name string) bool {
	app := s.apps[name]
	if app == nil || !app.current {
		return s.heard
	}
	_, told := s.reports[name]
	return s.heard && (told || app.pending > 0)
}

// status is what the zone says of an application here. A place that is being left counts nothing.
func (s *site) status(name string) record.Status {
	app := s.apps[name]
	b := app.binding
	out := record.Status{Namespace: b.Namespace, Application: b.Application, Problems: s.problems(name)}
	out.Revision = b.Revision
	if b.Draining {
		return out
	}
	out.Clusters, out.Desired = 1, b.Replicas
	if app.current && app.pending == 0 {
		out.Converged, out.AppliedAt = 1, app.appliedAt
	}
	if w, ok := s.workload(name); ok {
		out.Desired, out.Updated, out.Ready = w.Desired, w.Updated, w.Ready
		if rollup.Ready(out.Counts) {
			out.ReadyAt = w.ReadyAt
		}
	}
	return out
}

// workload is the agent's count of the workload as it was compiled last; one of another version says nothing.
func (s *site) workload(name string) (record.Workload, bool) {
	app := s.apps[name]
	for _, w := range s.reports[name].Workloads {
		if app.current && w.Key == app.workload.Key && w.Version == app.workload.Version {
			return w, true
		}
	}
	return record.Workload{}, false
}

// settled tells whether the cluster runs a binding: all applied, and ready.
func (s *site) settled(name string, b record.Binding) bool {
	app := s.apps[name]
	if app == nil || !app.current || app.pending > 0 || app.binding.Revision != b.Revision || app.binding.Replicas != b.Replicas {
		return false
	}
	w, ok := s.workload(name)
	return ok && w.Ready >= b.Replicas && w.Updated >= b.Replicas
}

// problems are the compiler's, what the cluster refused, and what the agent says besides.
func (s *site) problems(name string) []record.Problem {
	app := s.apps[name]
	var out []record.Problem
	if app.problem != nil {
		out = append(out, *app.problem)
	}
	refused := map[string]bool{}
	for _, key := range app.keys {
		it := s.items[key]
		if it == nil || it.app != app || it.rejected == nil {
			continue
		}
		object := shortOf(key)
		refused[object] = true
		out = append(out, record.Problem{Object: object, Reason: it.rejected.Reason, Message: it.rejected.Message})
	}
	for _, p := range s.reports[name].Problems {
		if !refused[p.Object] {
			out = append(out, p)
		}
	}
	for i := range out {
		out[i].Zone, out[i].Cluster = s.zone, s.cluster
	}
	return rollup.Problems(out)
}

// shortOf is an object's key for people.
func shortOf(key record.Key) string {
	if id, err := object.FromKey(key); err == nil {
		return id.Short()
	}
	return key.Name
}

// wellbeing is the health that the zone reports of the cluster.
func (s *site) wellbeing() record.Health {
	h := s.health
	h.Cluster, h.Zone, h.Region = s.cluster, s.zone, s.region
	h.Connected, h.Applications = s.connected, int32(len(s.apps))
	h.Problems = slices.Clone(s.health.Problems)
	if s.refused != nil {
		h.Problems = append(h.Problems, record.Problem{Reason: "Refused", Message: "the agent takes nothing from the zone: " +
			s.refused.Reason + "; if the zone's store was restored or replaced, run `meridian confirm region/" + s.region + "/zone/" +
			s.zone + "/cluster/" + s.cluster + " --what " + string(s.refused.Kind) + "`"})
	}
	for i := range h.Problems {
		h.Problems[i].Zone, h.Problems[i].Cluster = s.zone, s.cluster
	}
	h.Problems = rollup.Problems(h.Problems)
	return h
}
