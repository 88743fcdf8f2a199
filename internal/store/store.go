// Package store is the contract of the place where a tier keeps its records, and what is built once above it: the
// Mirror, an immutable in-memory snapshot kept up to date by one watch, and the Writer, which batches and skips what
// would change nothing.
//
// A backend (store/mem, store/etcd) implements Store, a few primitives; store/storetest holds every backend to the
// same behaviour. One process at a time writes records: whoever holds the Term. Every write names its Term, and one
// whose Term has ended is refused, so a deposed leader cannot write however late it finds out. Tiers import this
// package; it knows no tier and no kind of record.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Errors that every backend returns, wrapped.
var (
	// ErrDeposed: the Term that a write names has ended. Nothing was written.
	ErrDeposed = errors.New("leadership lost")
	// ErrClaimed: somebody else holds the claim, or held it since the caller looked. Nothing was written.
	ErrClaimed = errors.New("claimed by another")
	// ErrFull: the store has no room for more until a person makes some. Nothing was written. Commits fail, those that
	// remove alone included, and so does whatever would begin: claims, terms, memberships. Reading goes on, and what there
	// is of terms and memberships can last, be given up and be deposed.
	ErrFull = errors.New("store full")
	// ErrEnded: the Membership has ended. Nothing was written.
	ErrEnded = errors.New("membership ended")
	// ErrCompacted: the changes after the asked revision are no longer kept, or the store was set back to before it;
	// Load again.
	ErrCompacted = errors.New("revision compacted")
	// ErrBounds: a batch is over MaxBatch or MaxBatchBytes, or names a key twice. Nothing was written.
	ErrBounds = errors.New("batch out of bounds")
)

// Position is a point in a store's history. Epoch is drawn at random when the store is first used and names that
// history; Revision is that of the last Commit in it, so that two mirrors with equal content state equal positions
// (elections and claims use up revisions without moving the position). A store that was emptied has a new epoch; one
// that was restored from a backup has the old epoch and a lower revision.
type Position struct {
	Epoch    uint64
	Revision int64
}

// Entry is a stored record.
type Entry struct {
	record.Record
	// Revision of the write that made it.
	Revision int64
	// Written is when that was, by the writer's clock.
	Written time.Time
}

// Change is what happened to one key between two snapshots. Old or New is nil where there was or is no record.
type Change struct {
	Key      record.Key
	Old, New *Entry
	// Cause is why the record went away; it means nothing while New is set.
	Cause record.Cause
}

// State is all that a store holds at one position. The caller owns the maps.
type State struct {
	Position Position
	// ReadAt is the revision at which it was read, at or after that of Position: Watch from there.
	ReadAt  int64
	Entries []*Entry
	Meta    map[string][]byte
}

// Delta is the changes of one or more consecutive transactions, up to and including Position.
type Delta struct {
	Position Position
	// Changes hold Key and New (or Cause); a backend leaves Old nil and may name a key more than once, in order. The
	// Mirror names each key once, in the order of keys, and fills Old in.
	Changes []Change
	// Meta holds the meta values that changed; nil is a value removed.
	Meta map[string][]byte
}

// Write puts a record or, with Delete, removes its key.
type Write struct {
	record.Record
	Delete bool
	Cause  record.Cause
}

// Batch is what one transaction writes. Meta are small named values beside the records (floors, the hub's identity):
// they have no version and go to no child; nil removes one.
type Batch struct {
	Writes []Write
	Meta   map[string][]byte
}

// Term is one process's time as leader.
type Term interface {
	// Done is closed when leadership is lost.
	Done() <-chan struct{}
	// Since is the position when the term began: all that earlier terms wrote.
	Since() Position
	// Resign gives leadership up at once, so that the next need not wait for a lease.
	Resign(ctx context.Context) error
}

// Store is a tier's record store, with its roster. All methods may be called from several goroutines.
type Store interface {
	Registry
	// Load reads everything.
	Load(ctx context.Context) (*State, error)
	// Watch calls fn, in order, with every change after revision, until ctx ends, fn fails or the store does not answer
	// any more. A transaction is never split between two calls. Before the first it calls began, as soon as the store
	// has answered. It returns ErrCompacted where changes are no longer kept. The caller owns the Delta.
	Watch(ctx context.Context, revision int64, began func(), fn func(Delta) error) error
	// Commit writes a batch atomically and returns the position after it. It fails with ErrDeposed, having written
	// nothing, when the term has ended. A batch is at most MaxBatch writes and meta values, and MaxBatchBytes. An empty
	// one is a barrier: it moves the position and changes nothing. After any error but ErrDeposed, ErrBounds and
	// ErrFull the batch may still have been, or be, written.
	Commit(ctx context.Context, term Term, batch Batch) (Position, error)
	// Campaign waits until this process leads. An earlier term of the same id ends at once: ids are unique, and a
	// process that restarts need not wait for its own lease.
	Campaign(ctx context.Context, id string) (Term, error)
	// Close ends terms, memberships and connections.
	Close() error
}
