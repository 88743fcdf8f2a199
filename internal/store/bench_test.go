package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// filled is a store of n records of 200 bytes, and its leader's term.
func filled(b *testing.B, n int) (*mem.Store, store.Term) {
	s := mem.New()
	term, err := s.Campaign(b.Context(), "a")
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n; at += store.MaxBatch {
		var batch store.Batch
		for i := at; i < at+store.MaxBatch; i++ {
			key := record.Key{Kind: record.KindRevision, Name: fmt.Sprintf("ns-%d/application-%d", i/10, i)}
			batch.Writes = append(batch.Writes, store.Write{Record: record.New(key, make([]byte, 200))})
		}
		if _, err := s.Commit(b.Context(), term, batch); err != nil {
			b.Fatal(err)
		}
	}
	s.Compact()
	return s, term
}

// mirrored is a running, ready mirror.
func mirrored(b *testing.B, s store.Store) *store.Mirror {
	ctx, cancel := context.WithCancel(context.Background())
	m := store.NewMirror(s, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx) // the context's end
	}()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	if err := m.WaitReady(ctx); err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkMirrorMemory reports what a mirror of 100,000 records adds to the records, which it shares with the store.
func BenchmarkMirrorMemory(b *testing.B) {
	s, _ := filled(b, 100_000)
	before := heap()
	for b.Loop() {
		m := mirrored(b, s)
		b.ReportMetric(float64(heap()-before)/100_000, "heap-B/record")
		before = heap() // the mirror lives until the benchmark ends
		runtime.KeepAlive(m)
	}
	runtime.KeepAlive(s)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkChange has one record change, through a writer, among n others, until a subscriber of the mirror knows it.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			s, term := filled(b, n)
			mirror := mirrored(b, s)
			sub := mirror.Subscribe()
			defer sub.Close()
			if _, err := sub.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
			w := store.NewWriter(s, mirror, term)
			runtime.GC()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				key := record.Key{Kind: record.KindRevision, Name: fmt.Sprintf("ns-%d/application-%d", i%n/10, i%n)}
				r := record.New(key, fmt.Append(nil, i))
				if _, err := w.Apply(b.Context(), []store.Write{{Record: r}}, nil); err != nil {
					b.Fatal(err)
				}
				if _, err := sub.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
