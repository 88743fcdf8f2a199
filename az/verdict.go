package az

import (
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// schedulerChild is the name under which the scheduler's own word on an application is summed beside the clusters'.
const schedulerChild = ""

// settled tells whether a cluster runs a binding: all applied, and ready.
func (s *sums) settled(b record.Binding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	app := record.ServiceName(b.Namespace, b.Application)
	status, told := s.report.Table().Get(b.Cluster, app)
	return told && s.clusters[b.Cluster].replicas[app] == b.Replicas && status.Converged > 0 && status.Revision == b.Revision &&
		status.Ready >= b.Replicas && status.Updated >= b.Replicas
}

// scheduled notes what the scheduler has to say of applications; nil is nothing.
func (s *sums) scheduled(problems map[string]*record.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, app := range slices.Sorted(maps.Keys(problems)) {
		p := problems[app]
		_, had := s.report.Table().Get(schedulerChild, app)
		switch {
		case p != nil:
			st := record.Status{Problems: []record.Problem{*p}}
			st.Namespace, st.Application = cutName(app)
			s.report.Put(schedulerChild, st)
		case had:
			s.report.Remove(schedulerChild, app)
		}
	}
}
