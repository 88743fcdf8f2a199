package feed

import (
	"iter"
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// table is a set of records, one for each key, with its digests kept up to date. It keeps pointers, so that a record
// that many children hold is in memory once, and costs a child the pointer. Records in it are never written to.
//
// A bucket is a sorted slice: with n keys a lookup is a search among n/1024.
type table struct {
	root    Digest
	digests [Buckets]Digest
	records [Buckets][]*record.Record
	size    int
}

func (t *table) get(key record.Key) (*record.Record, bool) {
	bucket := t.records[bucketOf(key)]
	if i, found := search(bucket, key); found {
		return bucket[i], true
	}
	return nil, false
}

// put sets the record of its key.
func (t *table) put(r *record.Record) {
	b := bucketOf(r.Key)
	i, found := search(t.records[b], r.Key)
	if found {
		old := t.records[b][i]
		t.records[b][i] = r
		if old.Version != r.Version {
			t.shift(b, digestOf(r.Key, r.Version).minus(digestOf(old.Key, old.Version)))
		}
		return
	}
	t.records[b] = slices.Insert(t.records[b], i, r)
	t.size++
	t.shift(b, digestOf(r.Key, r.Version))
}

// note sets only the version of a key.
func (t *table) note(key record.Key, version record.Version) {
	t.put(&record.Record{Key: key, Version: version})
}

// remove returns what was removed, or nil.
func (t *table) remove(key record.Key) *record.Record {
	b := bucketOf(key)
	i, found := search(t.records[b], key)
	if !found {
		return nil
	}
	old := t.records[b][i]
	t.records[b] = slices.Delete(t.records[b], i, i+1)
	t.size--
	t.shift(b, Digest{}.minus(digestOf(old.Key, old.Version)))
	return old
}

func (t *table) shift(bucket int, by Digest) {
	t.digests[bucket] = t.digests[bucket].plus(by)
	t.root = t.root.plus(by)
}

// list is the keys and versions of one bucket in key order.
func (t *table) list(bucket int) []record.KeyVersion {
	list := make([]record.KeyVersion, len(t.records[bucket]))
	for i, r := range t.records[bucket] {
		list[i] = record.KeyVersion{Key: r.Key, Version: r.Version}
	}
	return list
}

// all yields every record, bucket by bucket.
func (t *table) all() iter.Seq[*record.Record] {
	return func(yield func(*record.Record) bool) {
		for _, bucket := range t.records {
			for _, r := range bucket {
				if !yield(r) {
					return
				}
			}
		}
	}
}

func search(bucket []*record.Record, key record.Key) (int, bool) {
	return slices.BinarySearchFunc(bucket, key, func(r *record.Record, key record.Key) int { return r.Key.Compare(key) })
}
