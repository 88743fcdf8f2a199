package permission

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// dependency says in words whether the caller declares the provider, and whether that was resolved.
func dependency(records *store.Snapshot, r question.CanIRequest) string {
	if r.Caller == r.Provider {
		return "an application need not declare itself"
	}
	assignments, revision := placed(records, r.Caller)
	if revision == nil {
		return fmt.Sprintf("what %s declares is not known here", r.Caller)
	}
	declared, err := declares(revision, r)
	switch {
	case err != nil:
		return err.Error()
	case !declared:
		return fmt.Sprintf("%s does not declare it in spec.dependsOn, so its proxies do not know %s", r.Caller, r.Provider)
	case len(assignments) == 0:
		return fmt.Sprintf("%s declares it, and runs nowhere", r.Caller)
	}
	resolved := slices.ContainsFunc(assignments, func(a record.Assignment) bool {
		return slices.Contains(a.Dependencies, r.Provider.String())
	})
	if resolved {
		return fmt.Sprintf("%s declares it, and it is resolved", r.Caller)
	}
	return fmt.Sprintf("%s declares it, and it is not resolved; see its condition DependenciesResolved", r.Caller)
}

// placed returns an application's assignments that are not being left, and the revision that they name; without any, the
// only revision that there is. The revision is nil where it is not known.
func placed(records *store.Snapshot, app question.ApplicationRequest) ([]record.Assignment, *store.Entry) {
	var assignments []record.Assignment
	for e := range records.Prefix(record.KindAssignment, app.String()+"/") {
		if a, err := record.DecodeAssignment(e.Record); err == nil && !a.Draining {
			assignments = append(assignments, a)
		}
	}
	if len(assignments) > 0 {
		e, _ := records.Get(record.RevisionKey(app.Namespace, app.Name, assignments[0].Revision))
		return assignments, e
	}
	var only *store.Entry
	for e := range records.Prefix(record.KindRevision, app.String()+"/") {
		if only != nil {
			return nil, nil
		}
		only = e
	}
	return nil, only
}

// declares tells whether the caller's spec lists the provider.
func declares(e *store.Entry, r question.CanIRequest) (bool, error) {
	revision, err := record.DecodeRevision(e.Record)
	if err != nil {
		return false, fmt.Errorf("reading what %s declares: %w", r.Caller, err)
	}
	var spec struct {
		DependsOn []v1alpha1.Dependency `json:"dependsOn"`
	}
	if err := json.Unmarshal(revision.Spec, &spec); err != nil {
		return false, fmt.Errorf("reading what %s declares: %w", r.Caller, err)
	}
	return slices.ContainsFunc(spec.DependsOn, func(d v1alpha1.Dependency) bool {
		return d.Kind != v1alpha1.DependencyExternalService && d.Name == r.Provider.Name && (d.Namespace == r.Provider.Namespace || d.Namespace == "" && r.Caller.Namespace == r.Provider.Namespace)
	}), nil
}
