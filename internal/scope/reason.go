package scope

import (
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// reason is why one child holds one key.
type reason struct {
	child string
	key   record.Key
}

// reasons lists what a stored record makes its child need. An undecodable record gives none: intake refuses those.
func (x *Index) reasons(e *store.Entry) []reason {
	if e == nil {
		return nil
	}
	switch e.Key.Kind {
	case record.KindCluster:
		c, err := record.DecodeCluster(e.Record)
		if err != nil {
			return nil
		}
		return []reason{{x.child(c.Region, c.Zone), e.Key}}
	case record.KindAssignment:
		a, err := record.DecodeAssignment(e.Record)
		if err != nil {
			return nil
		}
		return assigned(x.child(a.Region, a.Zone), e.Key, a)
	default:
		return nil
	}
}

// assigned is the reasons that one assignment gives.
func assigned(child string, key record.Key, a record.Assignment) []reason {
	out := make([]reason, 0, 3+len(a.Dependencies))
	out = append(out, reason{child, record.RevisionKey(a.Namespace, a.Application, a.Revision)},
		reason{child, record.ServiceKey(a.Namespace, a.Application)})
	for _, dependency := range a.Dependencies {
		namespace, name, _ := strings.Cut(dependency, "/")
		out = append(out, reason{child, record.ServiceKey(namespace, name)})
	}
	return append(out, reason{child, key})
}

func (x *Index) child(region, zone string) string {
	if x.level == Regions {
		return region
	}
	return zone
}

// known tells whether this release gives the kind a meaning here.
func known(kind record.Kind) bool {
	switch kind {
	case record.KindRevision, record.KindService, record.KindCluster, record.KindAssignment:
		return true
	default:
		return false
	}
}

// stays tells whether records of the kind never go to a child through a scope.
func stays(kind record.Kind) bool {
	switch kind {
	case record.KindBinding, record.KindStatus, record.KindHealth, record.KindObject, record.KindStanding:
		return true
	default:
		return false
	}
}

// causeOfShift says why the records that a change no longer needs leave the view. A removal hands on its own cause. An
// assignment with another revision follows from a spec that a person changed, and so does what it lets go of.
func causeOfShift(c store.Change) record.Cause {
	if c.New == nil {
		return c.Cause
	}
	if c.Old == nil || c.Key.Kind != record.KindAssignment {
		return record.CauseScope
	}
	before, errBefore := record.DecodeAssignment(c.Old.Record)
	after, errAfter := record.DecodeAssignment(c.New.Record)
	if errBefore == nil && errAfter == nil && before.Revision != after.Revision {
		return record.CausePerson
	}
	return record.CauseScope
}
