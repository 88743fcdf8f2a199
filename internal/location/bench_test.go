package location

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// stock is a region's store with the locations of many applications in one cluster, all called from elsewhere, and the words
// that they come from.
type stock struct {
	mirror *store.Mirror
	writer *store.Writer
	sub    *store.Subscription
	keeper *Keeper
	export *Export
}

// newStock has n locations, each of an application of its own.
func newStock(b *testing.B, n int) *stock {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	backend := mem.New()
	term, err := backend.Campaign(ctx, "r")
	if err != nil {
		b.Fatal(err)
	}
	s := &stock{mirror: store.NewMirror(backend, slog.New(slog.DiscardHandler))}
	s.writer, s.sub = store.NewWriter(backend, s.mirror, term), s.mirror.Subscribe()
	s.keeper = New(Config{Child: func(c record.Cluster) string { return c.Zone }, Own: func(string, string) bool { return true }},
		s.mirror, slog.New(slog.DiscardHandler))
	s.export = NewExport(feed.NewOutbox())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.mirror.Run(ctx) // which ends with ctx alone
	}()
	b.Cleanup(func() {
		s.sub.Close()
		cancel()
		<-done
	})
	first := s.next(b)
	s.keeper.begin(first.New, time.Now())
	s.export.apply(first)
	s.keeper.Connected("a", true)
	s.write(b, store.Write{Record: record.Cluster{Name: "a1", Region: "west", Zone: "a"}.Record()})
	audiences := make([]store.Write, n)
	puts := []*record.Record{ref(at("a1", "a"))}
	for i := range n {
		name := fmt.Sprintf("app-%d", i)
		audiences[i] = store.Write{Record: record.Audience{Namespace: "n", Application: name, Zones: []string{"far"}}.Record()}
		puts = append(puts, ref(ready(name, 1)))
	}
	s.write(b, audiences...)
	s.keeper.Take("a", puts, nil)
	s.write(b, s.keeper.decide(s.keeper.take())...)
	s.keeper.Told("a")
	s.write(b, s.keeper.decide(s.keeper.take())...) // the place
	if got := s.export.outbox.Len(); got != n+1 {
		b.Fatalf("the parent is told %d records, want %d locations and a place", got, n)
	}
	return s
}

func ref(r record.Record) *record.Record { return &r }

// ready is where an application of the stock is, by the zone's word of a sequence.
func ready(name string, sequence uint64) record.Record {
	return record.Location{Namespace: "n", Application: name, Cluster: "a1", Zone: "a", Region: "west", Epoch: 9, Sequence: sequence,
		Ready: []record.Ready{{Endpoints: int32(1 + sequence%2)}}}.Record()
}

func (s *stock) next(b *testing.B) store.Update {
	b.Helper()
	u, err := s.sub.Next(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// write writes, and has the keeper and the export follow.
func (s *stock) write(b *testing.B, writes ...store.Write) {
	b.Helper()
	u := s.store(b, writes...)
	s.keeper.apply(u)
	s.export.apply(u)
}

func (s *stock) store(b *testing.B, writes ...store.Write) store.Update {
	b.Helper()
	if changed, err := s.writer.Apply(b.Context(), writes, nil); err != nil || changed == 0 || changed != len(writes) {
		b.Fatalf("%d of %d writes changed something, error %v", changed, len(writes), err)
	}
	return s.next(b)
}

// BenchmarkChange has one location change among n: the keeper takes the word in, decides on the write and follows the store;
// the export follows the store and tells the parent.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		s := newStock(b, n)
		sequence := uint64(1)
		next := func() *record.Record {
			sequence++
			return ref(ready(fmt.Sprintf("app-%d", n/2), sequence))
		}
		b.Run(fmt.Sprintf("keeper/locations=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.keeper.Take("a", []*record.Record{next()}, nil)
				writes := s.keeper.decide(s.keeper.take())
				b.StopTimer()
				u := s.store(b, writes...)
				s.export.apply(u)
				b.StartTimer()
				s.keeper.apply(u)
			}
		})
		b.Run(fmt.Sprintf("export/locations=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				s.keeper.Take("a", []*record.Record{next()}, nil)
				u := s.store(b, s.keeper.decide(s.keeper.take())...)
				s.keeper.apply(u)
				b.StartTimer()
				s.export.apply(u)
			}
		})
	}
}
