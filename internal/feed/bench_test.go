package feed_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

func benchRecords(n, size int) []*record.Record {
	records := make([]*record.Record, n)
	for i := range records {
		content := make([]byte, size)
		copy(content, fmt.Sprint(i))
		r := record.New(record.Key{Kind: record.KindObject, Name: fmt.Sprintf("apps/v1/Deployment/shop/cart-%d", i)}, content)
		records[i] = &r
	}
	return records
}

// BenchmarkOutboxPut is the cost of one change: the digest kept up to date, and one subscription told.
func BenchmarkOutboxPut(b *testing.B) {
	for _, keys := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			o := feed.NewOutbox()
			records := benchRecords(keys, 16)
			later := make([]*record.Record, keys)
			for i, r := range records {
				o.Edit(feed.Put(r))
				changed := record.New(r.Key, []byte("later"))
				later[i] = &changed
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				if n/keys%2 == 0 {
					o.Edit(feed.Put(later[n%keys]))
				} else {
					o.Edit(feed.Put(records[n%keys]))
				}
			}
		})
	}
}

// BenchmarkSession sends records of 4 KiB to an empty receiver, the messages passed by hand.
func BenchmarkSession(b *testing.B) {
	records := benchRecords(10_000, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		p := newPair(b)
		for _, r := range records {
			p.a.outbox.Edit(feed.Put(r))
		}
		p.connect()
		if len(p.b.held) != len(records) {
			b.Fatalf("held %d, want %d", len(p.b.held), len(records))
		}
	}
	b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkReconnect compares two ends that agree on 100,000 keys.
func BenchmarkReconnect(b *testing.B) {
	o := feed.NewOutbox()
	records := benchRecords(100_000, 8)
	for _, r := range records {
		o.Edit(feed.Put(r))
	}
	l := feed.NewLedger(feed.State{}, func(yield func(record.KeyVersion) bool) {
		for _, r := range records {
			if !yield(record.KeyVersion{Key: r.Key, Version: r.Version}) {
				return
			}
		}
	})
	p := newPair(b)
	p.a.outbox, p.b.ledger = o, l
	b.ReportAllocs()
	for b.Loop() {
		p.connect()
	}
}

// BenchmarkIdleSession reports the memory of one end: an Outbox and a Ledger of 1,000 keys each, and an idle session.
func BenchmarkIdleSession(b *testing.B) {
	records := benchRecords(1_000, 8)
	var kept []any
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		o := feed.NewOutbox()
		l := feed.NewLedger(feed.State{}, func(yield func(record.KeyVersion) bool) {
			for _, r := range records {
				if !yield(record.KeyVersion{Key: r.Key, Version: r.Version}) {
					return
				}
			}
		})
		for _, r := range records {
			o.Edit(feed.Put(r))
		}
		kept = append(kept, o, l, feed.NewSession(feed.Config{Outbox: o, Ledger: l}, time.Now()))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/end")
	runtime.KeepAlive(kept)
}
