package store

import (
	"iter"
	"maps"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	"github.com/meridian-federation/meridian/internal/record"
)

// Snapshot is all records and meta values at one position. It never changes; snapshots share what they have in common.
type Snapshot struct {
	position Position
	entries  *iradix.Tree[*Entry] // by treeKey
	meta     map[string][]byte
}

func emptySnapshot() *Snapshot { return &Snapshot{entries: iradix.New[*Entry]()} }

// Position is where in the store's history this is; the zero Position is before everything.
func (s *Snapshot) Position() Position { return s.position }

// Len counts the records.
func (s *Snapshot) Len() int { return s.entries.Len() }

// Get returns the record of a key.
func (s *Snapshot) Get(key record.Key) (*Entry, bool) { return s.entries.Get(treeKey(key)) }

// Meta returns a meta value, nil where there is none. The caller must not write to it.
func (s *Snapshot) Meta(name string) []byte { return s.meta[name] }

// All yields the records of one kind in the order of their names.
func (s *Snapshot) All(kind record.Kind) iter.Seq[*Entry] { return s.Prefix(kind, "") }

// Prefix yields the records of one kind whose names begin with prefix, in the order of their names.
func (s *Snapshot) Prefix(kind record.Kind, prefix string) iter.Seq[*Entry] {
	return s.walk(treeKey(record.Key{Kind: kind, Name: prefix}))
}

// Entries yields all records in the order of their keys.
func (s *Snapshot) Entries() iter.Seq[*Entry] { return s.walk(nil) }

func (s *Snapshot) walk(prefix []byte) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		s.entries.Root().WalkPrefix(prefix, func(_ []byte, e *Entry) bool { return !yield(e) })
	}
}

// with applies a delta, and returns it with one change for each key that changed, Old filled in.
func (s *Snapshot) with(delta Delta) (*Snapshot, Delta) {
	txn := s.entries.Txn()
	merged := newPending()
	for _, c := range delta.Changes {
		if c.New != nil {
			c.Old, _ = txn.Insert(treeKey(c.Key), c.New)
		} else {
			c.Old, _ = txn.Delete(treeKey(c.Key))
		}
		merged.change(c)
	}
	next := &Snapshot{position: delta.Position, entries: txn.CommitOnly(), meta: s.meta}
	if len(delta.Meta) > 0 {
		next.meta = maps.Clone(s.meta)
		if next.meta == nil {
			next.meta = map[string][]byte{}
		}
		for name, value := range delta.Meta {
			if value == nil {
				delete(next.meta, name)
			} else {
				next.meta[name] = value
			}
		}
	}
	delta.Changes = merged.sorted()
	return next, delta
}

// treeKey orders as record.Key.Compare does: the byte between kind and name is below every other.
func treeKey(k record.Key) []byte {
	b := make([]byte, 0, len(k.Kind)+1+len(k.Name))
	b = append(b, k.Kind...)
	b = append(b, 0)
	return append(b, k.Name...)
}
