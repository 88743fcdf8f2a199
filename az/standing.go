package az

import (
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
)

// standing is one application in one cluster.
type standing struct {
	binding record.Binding
	// current: the objects are those of the binding; otherwise the first of the notes, the compiler's problems, says why not.
	current  bool
	notes    []record.Problem
	workload record.KeyVersion
	keys     []record.Key
	// pending is the number of items that are not settled.
	pending int
	// appliedAt is when the last item was settled; zero where that was before the zone started.
	appliedAt time.Time
}

func (a *standing) name() string {
	return record.ServiceName(a.binding.Namespace, a.binding.Application)
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

// heard tells whether all is known of the cluster that its agent can say.
func (s *site) heard() bool { return s.synced && s.told }

// known tells whether what is said of an application here is more than what a new owner assumes, or as much as it will
// know before the agent comes back.
func (s *site) known(name string) bool {
	if s.due.IsZero() {
		return true
	}
	app := s.apps[name]
	if app == nil || !app.current {
		return s.heard()
	}
	_, told := s.reports[name]
	return s.heard() && (told || app.pending > 0)
}

// status is what the zone says of an application here. A place that is being left counts nothing. A revision that left
// the workload as it was is ready when it is applied.
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
			if out.AppliedAt.After(out.ReadyAt) {
				out.ReadyAt = out.AppliedAt
			}
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

// problems are the compiler's, what the cluster refused, and what the agent says besides.
func (s *site) problems(name string) []record.Problem {
	app := s.apps[name]
	out := slices.Clone(app.notes)
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
