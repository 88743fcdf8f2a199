package clusteragent

import (
	"time"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// standing is what the desk knows of one object, for those who ask.
type standing struct {
	id      object.ID
	version record.Version // in the cluster
	// outstanding: what the zone wants has not taken effect.
	outstanding bool
	rejection   string
	contended   bool
	// ends is set for a workload that should be gone and has not ended in its time.
	ends *record.Problem
	// When the zone's wish came, and when it was applied; zero since a restart.
	receivedAt, appliedAt time.Time
}

// survey returns the standing of the objects of an application, in no order.
func (d *desk) survey(namespace, application string) []standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []standing
	for _, e := range d.entries {
		if e.id.Namespace == namespace && e.application() == application {
			s := e.standing(time.Now())
			if _, late := d.leaving.late[e]; late {
				p := e.terminating()
				s.ends = &p
			}
			out = append(out, s)
		}
	}
	return out
}

// application is the name of the application that the object belongs to.
func (e *entry) application() string {
	if e.seen != nil {
		return e.seen.application
	}
	if e.want == nil || e.want.gone {
		return ""
	}
	m, err := parseManifest(e.id, e.want.record.Version, e.want.record.Content)
	if err != nil {
		return ""
	}
	return m.application
}

func (e *entry) standing(now time.Time) standing {
	s := standing{id: e.id, appliedAt: e.appliedAt, contended: e.fight.rounds >= fightRounds && e.fight.on(now)}
	if e.seen != nil {
		s.version = e.seen.version
	}
	if e.want != nil {
		s.receivedAt = e.want.at
		s.outstanding = e.dirty || e.busy || e.counted
	}
	if e.rejection != nil {
		s.rejection = e.rejection.Reason + ": " + e.rejection.Message
	}
	return s
}

// count is how many objects there are and how many are rejected.
func (d *desk) count() (objects, rejected int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.entries), len(d.rejected)
}
