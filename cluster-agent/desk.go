package clusteragent

import (
	"iter"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// ledger is what the desk tells of what happened outside a batch.
type ledger interface {
	Forget(keys ...record.Key)
	Accept(kvs ...record.KeyVersion)
	Reject(rejections ...feed.Rejection)
}

// desk holds the entries and the queue of those that have something to do. Batches, watches and workers share it; it
// does no I/O.
type desk struct {
	log   *slog.Logger
	queue workqueue.TypedDelayingInterface[record.Key]

	mu       sync.Mutex // guards all below, entries included
	entries  map[record.Key]*entry
	rejected map[record.Key]*entry
	// ledger is nil until the cluster has been listed once.
	ledger ledger
	// batch counts the batches.
	batch   uint64
	leaving leaving
}

func newDesk(log *slog.Logger) *desk {
	return &desk{
		log:      log,
		queue:    workqueue.NewTypedDelayingQueue[record.Key](),
		entries:  map[record.Key]*entry{},
		rejected: map[record.Key]*entry{},
		leaving:  newLeaving(),
	}
}

// open makes the ledger of what was listed, and tells it from now on what happens outside a batch.
func (d *desk) open(newLedger func(iter.Seq[record.KeyVersion]) *feed.Ledger) *feed.Ledger {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := newLedger(func(yield func(record.KeyVersion) bool) {
		for key, e := range d.entries {
			if e.seen != nil && e.seen.deleting {
				continue // known for what has to wait for it
			}
			if !yield(record.KeyVersion{Key: key, Version: e.version()}) {
				return
			}
		}
	})
	d.ledger = l
	return l
}

// begin begins a batch.
func (d *desk) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.batch++
}

// put takes a wish for an object. done is called once, from any goroutine, when it has taken effect or is rejected,
// unless another wish comes first.
func (d *desk) put(id object.ID, r *record.Record, done func(*feed.Rejection)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entry(id)
	same := e.want != nil && e.want.record != nil && e.want.record.Version == r.Version
	switch {
	case same && e.busy:
		e.done = done // that write's outcome is this one's too
		return
	case same && e.applied && e.seen != nil && e.inOrder(e.seen) && !e.dirty && e.rejection == nil:
		done(nil)
		return
	}
	d.wish(e, &want{record: r, at: time.Now()}, done)
}

// remove takes a wish for the absence of an object.
func (d *desk) remove(id object.ID, done func(*feed.Rejection)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.entries[id.Key()]; !known {
		// It may be there all the same, with marks that the watch does not see; the worker looks.
		d.log.Debug("removing an object that is not known", "object", id.Short())
	}
	d.wish(d.entry(id), &want{gone: true, at: time.Now()}, done)
}

func (d *desk) wish(e *entry, w *want, done func(*feed.Rejection)) {
	e.want, e.done, e.dirty, e.applied = w, done, true, false
	e.tries, e.refusals = 0, 0
	d.track(e)
	d.queue.Add(e.id.Key())
}

func (d *desk) entry(id object.ID) *entry {
	key := id.Key()
	e, ok := d.entries[key]
	if !ok {
		e = &entry{id: id}
		d.entries[key] = e
	}
	return e
}

// take hands the entry of a key to a worker, if there is something to do. The worker calls finish.
func (d *desk) take(key record.Key) (task, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.entries[key]
	if !ok {
		return task{}, false
	}
	d.remind(e, time.Now())
	switch {
	case !e.dirty || e.busy || e.want == nil:
		return task{}, false
	case e.want.gone && d.leaving.holds(e):
		e.settle(nil)
		return task{}, false
	}
	e.dirty, e.busy = false, true
	return task{id: e.id, want: e.want, seen: e.seen, tries: e.tries}, true
}

// finish takes a worker's result.
func (d *desk) finish(t task, r result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := t.id.Key()
	e := d.entries[key]
	e.busy = false
	switch rejection := d.verdict(t, r); {
	case e.want != t.want:
		d.note(e, r) // superseded: what came of it does not matter, what is there does
	case r.err == nil && t.want.gone:
		if r.seen != nil && r.seen.ours() {
			d.note(e, r)
		}
		d.removed(e)
	case r.err == nil:
		d.note(e, r)
		d.accepted(e)
	case rejection != nil:
		d.note(e, r)
		d.refused(e, rejection)
	default:
		e.dirty = true
		d.log.Debug("trying again", "object", t.id.Short(), "tries", e.tries, "error", r.err)
		d.queue.AddAfter(key, retryAfter(e.tries))
		e.tries++
	}
	if late := e.late; late != nil {
		e.late = nil
		d.event(e, *late)
	}
	d.track(e)
}

func (d *desk) verdict(t task, r result) *feed.Rejection {
	if r.err == nil {
		return nil
	}
	rejection := judge(r.err, t.id, t.tries)
	if rejection != nil && t.want.record != nil {
		rejection.Version = t.want.record.Version
	}
	return rejection
}

// note keeps what a write left behind, as the measure of later sightings.
func (d *desk) note(e *entry, r result) {
	if r.seen != nil {
		e.seen, e.footprint = r.seen, r.seen.footprint
	}
}

func (d *desk) accepted(e *entry) {
	was := e.rejection
	e.clear()
	e.applied, e.appliedAt = true, time.Now()
	delete(d.rejected, e.id.Key())
	switch {
	case e.done != nil:
		e.settle(nil)
	case was != nil:
		d.reconsidered(e)
	}
	if isFooting(e.id) {
		d.kick(func(r *entry) bool { return r.standsOn(e, was) })
	}
}

// reconsidered tells the zone that a rejected object has taken effect after all. While the rejection itself may still be
// on its way to the ledger, which then knows nothing to accept, the object is asked for again instead.
func (d *desk) reconsidered(e *entry) {
	d.log.Info("rejected object has taken effect", "object", e.id.Short())
	if d.batch-e.batch <= 1 {
		d.resend(e)
		return
	}
	d.ledger.Accept(record.KeyVersion{Key: e.id.Key(), Version: e.want.record.Version})
}

func (d *desk) refused(e *entry, rejection *feed.Rejection) {
	key := e.id.Key()
	was := e.rejection
	e.rejection = rejection
	d.rejected[key] = e
	// The obstacle may go: an object that is not Meridian's is not watched, and neither is what a webhook thinks.
	e.dirty = true
	d.queue.AddAfter(key, rejectedAfter(e.refusals))
	e.tries, e.refusals = 0, e.refusals+1
	if was == nil || was.Reason != rejection.Reason || was.Message != rejection.Message {
		d.log.Warn("object rejected", "object", e.id.Short(), "reason", rejection.Reason, "message", rejection.Message)
	}
	switch {
	case e.done != nil:
		e.batch = d.batch
		e.settle(rejection)
	case was == nil && !e.want.gone:
		d.ledger.Reject(*rejection)
	}
}

// removed keeps the entry until the watch has told the end of the object, so that an event on its way is not taken for
// an object that appears.
func (d *desk) removed(e *entry) {
	e.clear()
	delete(d.rejected, e.id.Key())
	if e.seen == nil {
		delete(d.entries, e.id.Key())
	}
	e.settle(nil)
}

func (e *entry) clear() { e.rejection, e.tries, e.refusals = nil, 0, 0 }

func (e *entry) settle(rejection *feed.Rejection) {
	if done := e.done; done != nil {
		e.done = nil
		done(rejection)
	}
}

// kick tries rejected objects at once, their obstacle having gone.
func (d *desk) kick(which func(*entry) bool) {
	for key, e := range d.rejected {
		if which(e) {
			e.refusals = 0
			d.queue.Add(key)
		}
	}
}

// next blocks until an entry may have something to do, or the desk is closed.
func (d *desk) next() (record.Key, bool) {
	key, closed := d.queue.Get()
	return key, !closed
}

// release says that the worker is done with what next gave it.
func (d *desk) release(key record.Key) { d.queue.Done(key) }

// close ends next for all.
func (d *desk) close() { d.queue.ShutDown() }
