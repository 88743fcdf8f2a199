package mem

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// data is what the handles share.
type data struct {
	mu        sync.Mutex // guards all below
	epoch     uint64
	rev       int64 // of the last write of any sort
	committed int64 // of the last Commit
	compacted int64 // history up to here is gone
	age       int   // counts restores
	entries   map[record.Key]*store.Entry
	meta      map[string][]byte
	claims    map[string]store.Claim
	history   []store.Delta // one for each transaction, oldest first
	leader    *term
	members   map[string]*membership
	roster    int           // counts the changes of leader, members and claims
	changed   chan struct{} // closed and replaced by every change that somebody may wait for
}

func (d *data) position() store.Position {
	return store.Position{Epoch: d.epoch, Revision: d.committed}
}

func (d *data) currentAge() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.age
}

// wake tells all that wait to look again.
func (d *data) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// wakeRoster tells those that wait for a change of the roster too.
func (d *data) wakeRoster() {
	d.roster++
	d.wake()
}

// set takes over the content of another, without its history and members.
func (d *data) set(o *data) {
	d.epoch, d.rev, d.committed, d.compacted = o.epoch, o.rev, o.committed, o.rev
	d.entries, d.meta, d.claims = maps.Clone(o.entries), maps.Clone(o.meta), maps.Clone(o.claims)
	d.history = nil
}

// since returns the transactions after a revision and the channel that is closed when there may be more.
func (d *data) since(revision int64, age int) ([]store.Delta, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if revision < d.compacted || revision > d.rev || age != d.age {
		return nil, nil, store.ErrCompacted
	}
	i, _ := slices.BinarySearchFunc(d.history, revision+1, func(delta store.Delta, rev int64) int {
		return int(delta.Position.Revision - rev)
	})
	deltas := make([]store.Delta, 0, len(d.history)-i)
	for _, delta := range d.history[i:] {
		delta.Changes = slices.Clone(delta.Changes)
		delta.Meta = maps.Clone(delta.Meta)
		deltas = append(deltas, delta)
	}
	return deltas, d.changed, nil
}

// commit writes a batch that may be written.
func (d *data) commit(batch store.Batch, now time.Time) {
	d.rev++
	d.committed = d.rev
	delta := store.Delta{Position: d.position(), Meta: maps.Clone(batch.Meta)}
	for _, w := range batch.Writes {
		change := store.Change{Key: w.Key}
		if w.Delete {
			if d.entries[w.Key] == nil {
				continue
			}
			change.Cause = w.Cause
			delete(d.entries, w.Key)
		} else {
			change.New = &store.Entry{Record: w.Record, Revision: d.rev, Written: now}
			d.entries[w.Key] = change.New
		}
		delta.Changes = append(delta.Changes, change)
	}
	for name, value := range batch.Meta {
		if value == nil {
			delete(d.meta, name)
		} else {
			d.meta[name] = slices.Clone(value)
		}
	}
	d.history = append(d.history, delta)
	if over := len(d.history) - History; over > 0 {
		d.compacted = d.history[over-1].Position.Revision
		d.history = slices.Delete(d.history, 0, over)
	}
	d.wake()
}
