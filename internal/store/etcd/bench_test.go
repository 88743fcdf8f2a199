package etcd_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// BenchmarkApply writes changed records of 1 KiB through Writer, etcd with fsync, and Mirror.
func BenchmarkApply(b *testing.B) {
	for _, listen := range []string{"", "http://127.0.0.1:0"} {
		b.Run(map[bool]string{true: "in the process", false: "over the network"}[listen == ""], func(b *testing.B) {
			srv, err := etcd.Embed(b.Context(), etcd.EmbedConfig{Dir: b.TempDir(), Listen: listen})
			if err != nil {
				b.Fatal(err)
			}
			defer stop(b, srv)
			open := srv.Open
			if listen != "" {
				open = etcd.Dial
			}
			s, err := open(etcd.Config{Endpoints: []string{srv.Endpoint()}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.Run("records=1", func(b *testing.B) { apply(b, s, 1) })
			b.Run("records=1000", func(b *testing.B) { apply(b, s, 1000) })
		})
	}
}

// BenchmarkChange has one record of 1 KiB change among n others, without fsync, until the writer's mirror shows it.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			srv := serve(b, b.TempDir(), "")
			defer stop(b, srv)
			s := openStore(b, srv)
			defer s.Close()
			put(b, s, n)
			runtime.GC()
			apply(b, s, 1)
		})
	}
}

func apply(b *testing.B, s store.Store, n int) {
	ctx, cancel := context.WithCancel(context.Background())
	mirror := store.NewMirror(s, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mirror.Run(ctx) // the context's end
	}()
	defer func() {
		cancel()
		<-done
	}()
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		b.Fatal(err)
	}
	if err := mirror.WaitReady(ctx); err != nil {
		b.Fatal(err)
	}
	w := store.NewWriter(s, mirror, term)
	writes := make([]store.Write, n)
	round := 0
	for b.Loop() {
		round++
		for i := range writes {
			key := record.Key{Kind: record.KindRevision, Name: fmt.Sprintf("ns-%d/app-%d", i/10, i)}
			writes[i] = store.Write{Record: record.New(key, fmt.Appendf(nil, "%1024d", round))}
		}
		if n, err := w.Apply(ctx, writes, nil); n != len(writes) || err != nil {
			b.Fatal(n, err)
		}
	}
	one := b.N * len(writes)
	b.ReportMetric(float64(one)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkRestart measures how long an embedded server with 10,000 records takes until a restarted leader may write.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 10_000)
	for b.Loop() {
		srv, err := etcd.Embed(b.Context(), etcd.EmbedConfig{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		s := openStore(b, srv)
		if _, err := s.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Campaign(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		stop(b, srv)
	}
}

func fill(b *testing.B, dir string, n int) {
	srv := serve(b, dir, "")
	defer stop(b, srv)
	s := openStore(b, srv)
	defer s.Close()
	put(b, s, n)
}

// put writes n records of 1 KiB.
func put(b *testing.B, s store.Store, n int) {
	term, err := s.Campaign(b.Context(), "a")
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n; at += store.MaxBatch {
		var batch store.Batch
		for i := at; i < at+store.MaxBatch; i++ {
			key := record.Key{Kind: record.KindRevision, Name: fmt.Sprintf("ns/app-%d", i)}
			batch.Writes = append(batch.Writes, store.Write{Record: record.New(key, make([]byte, 1024))})
		}
		if _, err := s.Commit(b.Context(), term, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad100k reads 100,000 records of 1 KiB.
func BenchmarkLoad100k(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 100_000)
	srv := serve(b, dir, "")
	defer stop(b, srv)
	s := openStore(b, srv)
	defer s.Close()
	for b.Loop() {
		if state, err := s.Load(b.Context()); err != nil || len(state.Entries) != 100_000 {
			b.Fatal(err)
		}
	}
}
