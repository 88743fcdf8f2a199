package feed

import (
	"sync"

	"github.com/meridian-federation/meridian/internal/record"
)

// Edit is one change of an Outbox: the record that the key now has, or its removal.
type Edit struct {
	Key record.Key
	// Record is the new record; nil removes the key.
	Record *record.Record
	// Cause is why it is removed.
	Cause record.Cause
}

// Put is the Edit that sets a record.
func Put(r *record.Record) Edit { return Edit{Key: r.Key, Record: r} }

// Remove is the Edit that removes a key.
func Remove(key record.Key, cause record.Cause) Edit { return Edit{Key: key, Cause: cause} }

// maxGone bounds the removals whose cause an Outbox remembers for sessions that find them late.
const maxGone = 16 << 10

// Outbox is what one peer should hold. It outlives sessions; sessions subscribe to it, read it, and are told which keys
// changed. Records are shared: they are never written to, here or by whoever put them in.
//
// An Outbox begins incomplete. Until SetComplete, what is in it is sent, and nothing that the peer has beyond it is
// removed.
type Outbox struct {
	mu       sync.Mutex // guards all below, the queues of the subscriptions included
	table    table
	position Position
	complete bool
	gone     map[record.Key]record.Cause
	goneAge  []record.Key
	subs     map[*Subscription]struct{}
}

// NewOutbox returns an empty, incomplete Outbox.
func NewOutbox() *Outbox {
	return &Outbox{gone: map[record.Key]record.Cause{}, subs: map[*Subscription]struct{}{}}
}

// Update makes the edits at once and sets the position that they belong to. An edit that changes nothing (the same
// version, the removal of an absent key) reaches no session. Sessions send in the order of the edits.
func (o *Outbox) Update(position Position, edits ...Edit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.position = position
	o.edit(edits)
}

// Edit makes the edits at once and leaves the position as it is.
func (o *Outbox) Edit(edits ...Edit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.edit(edits)
}

// SetPosition sets the store's position that the content now answers to.
func (o *Outbox) SetPosition(position Position) { o.Update(position) }

// SetComplete says whether the Outbox holds all that the peer should hold; removals are sent only while it does.
func (o *Outbox) SetComplete(complete bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.complete == complete {
		return
	}
	o.complete = complete
	for s := range o.subs {
		s.signal()
	}
}

// Get returns the record of a key.
func (o *Outbox) Get(key record.Key) (*record.Record, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.table.get(key)
}

// Position is where the sender's store stood at the last update.
func (o *Outbox) Position() Position {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.position
}

// Complete tells whether the Outbox holds all that the peer should hold.
func (o *Outbox) Complete() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.complete
}

// Len is the number of records.
func (o *Outbox) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.table.size
}

// Root is the digest of everything.
func (o *Outbox) Root() Digest {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.table.root
}

// Keys lists all keys with their versions, in no meaningful order.
func (o *Outbox) Keys() []record.KeyVersion {
	o.mu.Lock()
	defer o.mu.Unlock()
	keys := make([]record.KeyVersion, 0, o.table.size)
	for r := range o.table.all() {
		keys = append(keys, record.KeyVersion{Key: r.Key, Version: r.Version})
	}
	return keys
}

func (o *Outbox) edit(edits []Edit) {
	changed := edits[:0:0]
	for _, e := range edits {
		if o.change(e) {
			changed = append(changed, e)
		}
	}
	if len(changed) == 0 {
		return
	}
	for s := range o.subs {
		s.add(changed)
		s.signal()
	}
}

func (o *Outbox) change(e Edit) bool {
	if e.Record == nil {
		if o.table.remove(e.Key) == nil {
			return false
		}
		o.bury(e.Key, e.Cause)
		return true
	}
	if old, ok := o.table.get(e.Key); ok && old.Version == e.Record.Version {
		return false
	}
	o.table.put(e.Record)
	delete(o.gone, e.Key)
	return true
}

// bury remembers why a key went, so that a session which sends the removal later, or finds the key missing, can say so.
func (o *Outbox) bury(key record.Key, cause record.Cause) {
	if cause == record.CauseFound {
		delete(o.gone, key)
		return
	}
	if _, known := o.gone[key]; !known {
		o.goneAge = append(o.goneAge, key)
	}
	o.gone[key] = cause
	for len(o.goneAge) > maxGone {
		delete(o.gone, o.goneAge[0])
		o.goneAge = o.goneAge[1:]
	}
}

// removal returns the cause to send for a key that is not there; ok only if it is really gone: absent from an Outbox
// that is complete.
func (o *Outbox) removal(key record.Key) (cause record.Cause, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, present := o.table.get(key); present || !o.complete {
		return 0, false
	}
	if cause, known := o.gone[key]; known {
		return cause, true
	}
	return record.CauseFound, true
}

func (o *Outbox) digests() *[Buckets]Digest {
	o.mu.Lock()
	defer o.mu.Unlock()
	digests := o.table.digests
	return &digests
}

func (o *Outbox) list(bucket int) []record.KeyVersion {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.table.list(bucket)
}
