package etcd

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unique"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// layout names the keys under one prefix. The package comment lists them.
type layout struct {
	root, records, meta, roster, members, claims string // these end in a slash
	last, leader, epoch                          string
}

func newLayout(prefix string) layout {
	root := strings.TrimRight(prefix, "/") + "/"
	return layout{
		root:    root,
		records: root + "records/",
		meta:    root + "meta/",
		roster:  root + "roster/",
		members: root + "roster/members/",
		claims:  root + "roster/claims/",
		leader:  root + "roster/leader",
		last:    root + "last",
		epoch:   root + "epoch",
	}
}

func (l layout) record(k record.Key) string { return l.records + k.String() }

// An envelope is what precedes a record's content: a format byte, the version, and the time of writing in Unix
// nanoseconds, big-endian.
const (
	envelopeFormat = 1
	envelopeSize   = 1 + len(record.Version{}) + 8
)

func encodeRecord(r record.Record, written time.Time) string {
	var b strings.Builder
	b.Grow(envelopeSize + len(r.Content))
	b.WriteByte(envelopeFormat)
	b.Write(r.Version[:])
	var nanos [8]byte
	binary.BigEndian.PutUint64(nanos[:], uint64(written.UnixNano()))
	b.Write(nanos[:])
	b.Write(r.Content)
	return b.String()
}

// decodeKey reads a record's key, the kind of which is in memory once however many records there are.
func (l layout) decodeKey(etcdKey []byte) (record.Key, error) {
	key, err := record.ParseKey(string(etcdKey[len(l.records):]))
	if err != nil {
		return record.Key{}, fmt.Errorf("etcd key %q: %w", etcdKey, err)
	}
	key.Kind = unique.Make(key.Kind).Value()
	return key, nil
}

func (l layout) decodeRecord(kv *mvccpb.KeyValue) (*store.Entry, error) {
	key, err := l.decodeKey(kv.Key)
	if err != nil {
		return nil, err
	}
	if len(kv.Value) < envelopeSize || kv.Value[0] != envelopeFormat {
		return nil, fmt.Errorf("etcd key %q: not a record of format %d", kv.Key, envelopeFormat)
	}
	header, content := kv.Value[1:envelopeSize], kv.Value[envelopeSize:]
	version := record.Version(header[:len(record.Version{})])
	nanos := int64(binary.BigEndian.Uint64(header[len(version):]))
	return &store.Entry{
		Record:   record.Record{Key: key, Version: version, Content: content},
		Revision: kv.ModRevision,
		Written:  time.Unix(0, nanos),
	}, nil
}

func encodeEpoch(epoch uint64) string { return string(binary.BigEndian.AppendUint64(nil, epoch)) }

func decodeEpoch(kv *mvccpb.KeyValue) (uint64, error) {
	if len(kv.Value) != 8 {
		return 0, fmt.Errorf("etcd key %q: not an epoch", kv.Key)
	}
	return binary.BigEndian.Uint64(kv.Value), nil
}

// encodeCauses writes why a batch's removed keys went away: for each, its length, the key and the cause.
func encodeCauses(batch store.Batch) string {
	var b []byte
	for _, w := range batch.Writes {
		if !w.Delete || w.Cause == record.CauseFound {
			continue
		}
		key := w.Key.String()
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
		b = append(b, byte(w.Cause))
	}
	return string(b)
}

func decodeCauses(b []byte) (map[string]record.Cause, error) {
	if len(b) == 0 {
		return nil, nil
	}
	causes := map[string]record.Cause{}
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size >= uint64(len(b)-n) {
			return nil, fmt.Errorf("causes of removal end after %d keys", len(causes))
		}
		b = b[n:]
		causes[string(b[:size])] = record.Cause(b[size])
		b = b[size+1:]
	}
	return causes, nil
}
