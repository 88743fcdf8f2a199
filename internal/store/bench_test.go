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

// mirrored is a running mirror of n records of 200 bytes.
func mirrored(b *testing.B, n int) (*store.Mirror, *mem.Store, store.Term) {
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
	return m, s, term
}

// BenchmarkMirrorMemory reports what a mirror of 100,000 records adds to the records themselves.
func BenchmarkMirrorMemory(b *testing.B) {
	for b.Loop() {
		m, s, _ := mirrored(b, 100_000)
		if _, err := s.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := m.WaitReady(b.Context()); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc)/100_000, "heap-B/record")
		runtime.KeepAlive(s)
		runtime.KeepAlive(m)
	}
}

// BenchmarkMirrorApply has one record change in a mirror of 100,000, with a subscriber.
func BenchmarkMirrorApply(b *testing.B) {
	m, s, term := mirrored(b, 100_000)
	sub := m.Subscribe()
	defer sub.Close()
	if _, err := sub.Next(b.Context()); err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		key := record.Key{Kind: record.KindRevision, Name: fmt.Sprintf("ns-%d/application-%d", i%100_000/10, i%100_000)}
		r := record.New(key, fmt.Append(nil, i))
		if _, err := s.Commit(b.Context(), term, store.Batch{Writes: []store.Write{{Record: r}}}); err != nil {
			b.Fatal(err)
		}
		if _, err := sub.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
