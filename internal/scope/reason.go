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

// meaning is what a stored record means for scope: the reasons that it gives by itself, and how it bears on locations.
type meaning struct {
	reasons []reason
	// callees are the applications, NAMESPACE/APPLICATION, that an assignment has its child depend on.
	child   string
	callees []string
	// location is where a location record says that an application is.
	location *sighting
}

// read finds a record's meaning. An undecodable record has none: intake refuses those.
func (x *Index) read(e *store.Entry) (m meaning) {
	if e == nil {
		return m
	}
	switch e.Key.Kind {
	case record.KindCluster:
		if c, err := record.DecodeCluster(e.Record); err == nil {
			m.reasons = []reason{{x.child(c.Region, c.Zone), e.Key}}
		}
	case record.KindGrant, record.KindPrefix, record.KindClaim:
		region, zone := e.Key.Place()
		if child := x.child(region, zone); child != "" {
			m.reasons = []reason{{child, e.Key}}
		}
	case record.KindAssignment:
		if a, err := record.DecodeAssignment(e.Record); err == nil {
			m.child, m.callees = x.child(a.Region, a.Zone), a.Dependencies
			m.reasons = assigned(m.child, e.Key, a)
		}
	case record.KindLocation:
		if l, err := record.DecodeLocation(e.Record); err == nil {
			m.location = &sighting{key: e.Key, application: record.ServiceName(l.Namespace, l.Application), cluster: l.Cluster,
				origin: x.child(l.Region, l.Zone)}
		}
	}
	return m
}

// assigned is the reasons that one assignment gives.
func assigned(child string, key record.Key, a record.Assignment) []reason {
	out := make([]reason, 0, 5+2*len(a.Dependencies))
	out = append(out, reason{child, record.RevisionKey(a.Namespace, a.Application, a.Revision)},
		reason{child, record.ServiceKey(a.Namespace, a.Application)},
		reason{child, record.PolicyKey(a.Namespace, a.Application)},
		reason{child, record.AudienceKey(a.Namespace, a.Application)})
	for _, dependency := range a.Dependencies {
		namespace, name, _ := strings.Cut(dependency, "/")
		out = append(out, reason{child, record.ServiceKey(namespace, name)}, reason{child, record.AudienceKey(namespace, name)})
	}
	return append(out, reason{child, key})
}

func (x *Index) child(region, zone string) string {
	if x.level == Regions {
		return region
	}
	return zone
}

// forAll tells whether every child has a record: pools, the grant of the place above the children, by which they know
// that a parent was replaced, and what this release does not know.
func (x *Index) forAll(key record.Key) bool {
	switch key.Kind {
	case record.KindGrant:
		region, zone := key.Place()
		if x.level == Regions {
			return region == ""
		}
		return region != "" && zone == ""
	case record.KindRevision, record.KindService, record.KindPolicy, record.KindAudience, record.KindCluster,
		record.KindAssignment, record.KindLocation, record.KindPlace, record.KindPrefix, record.KindClaim:
		return false
	default:
		return true
	}
}

// stays tells whether records of the kind never go to a child through a scope.
func stays(kind record.Kind) bool {
	switch kind {
	case record.KindBinding, record.KindStatus, record.KindHealth, record.KindObject, record.KindStanding,
		record.KindToken, record.KindTrust, record.KindAllotment, record.KindDemand:
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
