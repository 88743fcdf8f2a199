package ledger

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/meridian-federation/meridian/internal/store"
)

// FuzzEntry reads anything as an entry. What can be read is written again as something that reads the same.
func FuzzEntry(f *testing.F) {
	keys := newLayout("/tier")
	for _, e := range []Entry{
		{Owner: "a", Pool: "p", Prefix: netip.MustParsePrefix("10.0.0.0/24"), Since: time.UnixMilli(1)},
		{Owner: "ipclaim/a/b", Pool: "p", Prefix: netip.MustParsePrefix("2001:db8::1/128"), Tenant: "t", Note: "n", Since: time.UnixMilli(1), Until: time.UnixMilli(2)},
	} {
		f.Add(place(e.Pool, e.Prefix), []byte(encodeEntry(e)))
	}
	f.Add("p/0a000000/32", []byte{entryFormat, 2, 0, 200})
	f.Add("0a000000/32", []byte{})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		e, err := keys.decodeEntry(&mvccpb.KeyValue{Key: []byte(keys.entries + key), Value: value})
		if err != nil {
			return
		}
		again, err := keys.decodeEntry(&mvccpb.KeyValue{Key: []byte(keys.entry(e.Pool, e.Prefix)), Value: []byte(encodeEntry(e))})
		if err != nil || again != e {
			t.Fatalf("got %+v, %v, want %+v", again, err, e)
		}
	})
}

// TestPlaces holds the order of keys against that of addresses.
func TestPlaces(t *testing.T) {
	last := ""
	for _, p := range []string{"0.0.0.0/8", "9.255.255.255/32", "10.0.0.0/24", "10.0.1.0/32", "200.0.0.0/9", "255.255.255.255/32"} {
		key := place("pool", netip.MustParsePrefix(p))
		if key <= last {
			t.Errorf("%s: key %s, want one after %s", p, key, last)
		}
		last = key
		pool, got, err := parsePlace([]byte(key))
		if err != nil || pool != "pool" || got.String() != p {
			t.Errorf("got %s of %s, %v, want %s", got, pool, err, p)
		}
	}
	for _, key := range []string{"", "p", "p/", "/0a000000/8", "p/0a000000", "p/0a000000/", "p/0a000000/33", "p/0a00/8", "p/0a00000g/8",
		"p/0a000001/8", "p/0a000000/-1", "p/0a000000/99999999999999999999", "p/00000000000000000000ffff0a000000/128"} {
		if pool, p, err := parsePlace([]byte(key)); err == nil {
			t.Errorf("%q: got %s of %s, want an error", key, p, pool)
		}
	}
}

// TestWitness has a witness end at any byte of a write: it knows what it knew before, or what was written.
func TestWitness(t *testing.T) {
	name := filepath.Join(t.TempDir(), "witness")
	w, err := openWitness(name)
	if err != nil {
		t.Fatal(err)
	}
	at := func(revision int64) mark {
		return mark{store.Position{Epoch: 7, Revision: revision}, fmt.Sprint("entries/", revision)}
	}
	for revision := int64(1); revision <= 3; revision++ {
		if err := w.record(at(revision)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.record(at(2)); err != nil || w.known() != at(3) {
		t.Errorf("an earlier mark: got %+v, %v, want %+v", w.known(), err, at(3))
	}
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.record(at(4)); err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before = append(before, bytes.Repeat([]byte{0}, len(after)-len(before))...)
	for n := range len(after) {
		torn := append(bytes.Clone(after[:n]), before[n:]...)
		if err := os.WriteFile(name, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := openWitness(name)
		if err != nil {
			t.Fatalf("torn at byte %d: %v", n, err)
		}
		if got := w.known(); got != at(3) && got != at(4) {
			t.Fatalf("torn at byte %d: got %+v, want what was before or after", n, got)
		}
		if err := w.record(at(5)); err != nil || w.known() != at(5) {
			t.Fatalf("torn at byte %d: got %+v, %v after the next write", n, w.known(), err)
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
	}
}
