package rollup

import (
	"maps"
	"slices"
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// Table holds the latest status of every application by child. It is not safe for concurrent use.
type Table struct {
	// apps is NAMESPACE/APPLICATION → child → status.
	apps map[string]map[string]record.Status
	// children is child → NAMESPACE/APPLICATION.
	children map[string]map[string]struct{}
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{apps: map[string]map[string]record.Status{}, children: map[string]map[string]struct{}{}}
}

// Put notes a child's word on an application.
func (t *Table) Put(child string, s record.Status) {
	app := record.ServiceName(s.Namespace, s.Application)
	if t.apps[app] == nil {
		t.apps[app] = map[string]record.Status{}
	}
	t.apps[app][child] = s
	if t.children[child] == nil {
		t.children[child] = map[string]struct{}{}
	}
	t.children[child][app] = struct{}{}
}

// Remove drops a child's word on an application: the child has nothing of it any more.
func (t *Table) Remove(child, app string) {
	delete(t.apps[app], child)
	if len(t.apps[app]) == 0 {
		delete(t.apps, app)
	}
	delete(t.children[child], app)
	if len(t.children[child]) == 0 {
		delete(t.children, child)
	}
}

// Get returns a child's word on an application.
func (t *Table) Get(child, app string) (record.Status, bool) {
	s, ok := t.apps[app][child]
	return s, ok
}

// Of lists the applications that a child speaks of, sorted.
func (t *Table) Of(child string) []string { return slices.Sorted(maps.Keys(t.children[child])) }

// Len is the number of applications.
func (t *Table) Len() int { return len(t.apps) }

// Apps lists all applications, sorted.
func (t *Table) Apps() []string { return slices.Sorted(maps.Keys(t.apps)) }

// Children lists those that speak of an application, sorted.
func (t *Table) Children(app string) []string { return slices.Sorted(maps.Keys(t.apps[app])) }

// Merge sums an application over its children: counts, the lines of all, sorted by zone, and the first few problems.
// It returns false when no child speaks of the application. The children's workloads stay with them.
func (t *Table) Merge(app string) (record.Status, bool) {
	byChild := t.apps[app]
	if len(byChild) == 0 {
		return record.Status{}, false
	}
	var out record.Status
	out.Namespace, out.Application, _ = strings.Cut(app, "/")
	var problems []record.Problem
	for _, child := range slices.Sorted(maps.Keys(byChild)) {
		s := byChild[child]
		out.Lines = append(out.Lines, s.Lines...)
		problems = append(problems, s.Problems...)
	}
	out.Counts = Sum(func(yield func(record.Counts) bool) {
		for _, child := range slices.Sorted(maps.Keys(byChild)) {
			if !yield(byChild[child].Counts) {
				return
			}
		}
	})
	slices.SortFunc(out.Lines, func(a, b record.Line) int { return strings.Compare(a.Zone, b.Zone) })
	out.Problems = Problems(problems)
	return out, true
}
