package etcd

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

func TestDecodeRecordRefuses(t *testing.T) {
	l := newLayout("/p/")
	good := encodeRecord(record.New(record.Key{Kind: "k", Name: "n"}, []byte("x")), time.Unix(1, 2))
	cases := []struct{ name, key, value string }{
		{"no name", "k", good},
		{"no kind", "/n", good},
		{"no value", "k/n", ""},
		{"a cut envelope", "k/n", good[:envelopeSize-1]},
		{"another format", "k/n", "\x02" + good[1:]},
	}
	for _, c := range cases {
		if e, err := l.decodeRecord(&mvccpb.KeyValue{Key: []byte(l.records + c.key), Value: []byte(c.value)}); err == nil {
			t.Errorf("%s: got %v, want an error", c.name, e)
		}
	}
	e, err := l.decodeRecord(&mvccpb.KeyValue{Key: []byte("/p/records/k/n"), Value: []byte(good), ModRevision: 7})
	if err != nil || e.Key.String() != "k/n" || e.Revision != 7 || !e.Written.Equal(time.Unix(1, 2)) || string(e.Content) != "x" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func FuzzCauses(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x03k/n\x02"))
	f.Add([]byte("\x05k/n\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		causes, err := decodeCauses(b)
		if err != nil {
			return
		}
		var batch store.Batch
		for key, cause := range causes {
			if k, err := record.ParseKey(key); err == nil && cause != record.CauseFound {
				batch.Writes = append(batch.Writes, store.Write{Record: record.Record{Key: k}, Delete: true, Cause: cause})
			} else {
				delete(causes, key)
			}
		}
		again, err := decodeCauses([]byte(encodeCauses(batch)))
		if err != nil || !maps.Equal(again, causes) {
			t.Errorf("got %v, %v; want %v", again, err, causes)
		}
	})
}

func FuzzRecord(f *testing.F) {
	l := newLayout("/p")
	f.Add([]byte("k/n"), []byte(encodeRecord(record.New(record.Key{Kind: "k", Name: "n"}, []byte("x")), time.Unix(1, 2))))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := l.decodeRecord(&mvccpb.KeyValue{Key: append([]byte(l.records), key...), Value: value})
		if err != nil {
			return
		}
		if got := encodeRecord(e.Record, e.Written); !bytes.Equal([]byte(got), value) || l.record(e.Key) != l.records+string(key) {
			t.Errorf("got %q=%q, want %q=%q", l.record(e.Key), got, key, value)
		}
	})
}
