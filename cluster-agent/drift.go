package clusteragent

import (
	"time"

	"github.com/meridian-federation/meridian/internal/object"
)

// see takes a sighting from a watch or a list.
func (d *desk) see(id object.ID, s *sighting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, known := d.entries[id.Key()]; known {
		d.event(e, event{seen: s, resourceVersion: s.resourceVersion})
		d.track(e)
		return
	}
	ends := s.deleting && object.RunsPods(id.Group, id.Kind) // others may have to wait for it
	if !s.ours() || s.deleting && !ends {
		return
	}
	e := d.entry(id)
	e.seen, e.footprint = s, s.footprint
	d.track(e)
	if !ends {
		d.resend(e) // not in the first list, whose objects make the ledger
	}
}

// vanish takes the end of an object, or of its label, at a resource version.
func (d *desk) vanish(id object.ID, resourceVersion string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, known := d.entries[id.Key()]; known {
		d.event(e, event{resourceVersion: resourceVersion})
		d.track(e)
	}
}

// listed takes the end of a list of one kind: what was seen earlier and is not in it, has vanished. It returns the ids
// that did.
func (d *desk) listed(kind object.Managed, resourceVersion string, in map[object.ID]struct{}) []object.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var gone []object.ID
	for _, e := range d.entries {
		if e.id.GVK() != kind.GroupVersionKind || e.seen == nil {
			continue
		}
		if _, there := in[e.id]; !there {
			gone = append(gone, e.id)
			d.event(e, event{resourceVersion: resourceVersion})
			d.track(e)
		}
	}
	d.kick(func(e *entry) bool { return e.id.GVK() == kind.GroupVersionKind && e.rejection.Reason == reasonKind })
	return gone
}

// event compares what the cluster has with what it should have.
func (d *desk) event(e *entry, ev event) {
	if e.busy {
		if e.late == nil || newer(ev.resourceVersion, e.late.resourceVersion) {
			e.late = &ev
		}
		return
	}
	if e.seen != nil && !newer(ev.resourceVersion, e.seen.resourceVersion) {
		return
	}
	switch {
	case ev.seen == nil:
		d.lost(e)
	case e.want != nil && e.want.gone:
		another := e.seen != nil && e.seen.uid != ev.seen.uid
		if e.seen = ev.seen; another {
			d.drifted(e)
		}
	case e.seen == nil || e.seen.uid != ev.seen.uid:
		d.appeared(e, ev.seen)
	default:
		e.seen = ev.seen
		if !e.inOrder(ev.seen) {
			d.drifted(e)
		}
	}
}

// lost is an object that is not there any more, or not under its label.
func (d *desk) lost(e *entry) {
	had := e.seen != nil
	e.seen = nil
	switch {
	case e.want != nil && e.want.gone && !e.dirty:
		delete(d.entries, e.id.Key()) // as it should be
	case e.rejection != nil:
		e.refusals = 0
		d.queue.Add(e.id.Key()) // it may have been the obstacle
	case had && (e.want == nil || !e.want.gone):
		d.drifted(e)
	}
}

// appeared is an object under the name of one that was not there, or was another.
func (d *desk) appeared(e *entry, s *sighting) {
	had := e.seen != nil
	if !s.ours() {
		e.seen = nil // somebody else's, with our labels
		if had {
			d.drifted(e)
		}
		return
	}
	e.seen = s
	d.drifted(e)
}

// drifted puts an object back, or asks the zone for it where its manifest is not known.
func (d *desk) drifted(e *entry) {
	if e.want == nil {
		d.resend(e)
		return
	}
	if e.seen != nil && e.seen.deleting {
		return // until it is gone
	}
	wait := e.fight.pause(time.Now())
	d.log.Info("object drifted", "object", e.id.Short(), "there", e.seen != nil, "wait", wait)
	if e.fight.rounds == fightRounds {
		d.log.Warn("somebody keeps changing an object", "object", e.id.Short())
	}
	e.dirty = true
	d.queue.AddAfter(e.id.Key(), wait)
}

// resend makes the zone send an object again, or say that it should go.
func (d *desk) resend(e *entry) {
	if d.ledger != nil {
		d.ledger.Forget(e.id.Key())
	}
}

// newer compares two resource versions of one resource.
func newer(a, b string) bool {
	return (&sighting{resourceVersion: a}).after(&sighting{resourceVersion: b})
}
