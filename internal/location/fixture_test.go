package location

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tier is a store of a region west with its mirror, the keeper of its zones' locations, and the export of what Global
// needs.
type tier struct {
	t      *testing.T
	mirror *store.Mirror
	writer *store.Writer
	keeper *Keeper
	outbox *feed.Outbox
	stop   func() // ends the term
}

const grace = 50 * time.Millisecond

// newTier has zones a (cluster a1) and b (cluster b1), and n/app that applications in zone far depend on.
func newTier(t *testing.T) *tier {
	t.Helper()
	backend := mem.New()
	ctx, cancel := context.WithCancel(context.Background())
	mirror := store.NewMirror(backend, slog.New(slog.DiscardHandler))
	term, err := backend.Campaign(ctx, "r")
	if err != nil {
		t.Fatal(err)
	}
	s := &tier{t: t, mirror: mirror, writer: store.NewWriter(backend, mirror, term), outbox: feed.NewOutbox(), stop: func() {}}
	export := NewExport(s.outbox)
	var done []chan struct{}
	for _, run := range []func(){func() { _ = mirror.Run(ctx) }, func() { _ = export.Run(ctx, mirror) }} {
		ended := make(chan struct{})
		done = append(done, ended)
		go func() {
			defer close(ended)
			run()
		}()
	}
	t.Cleanup(func() {
		s.stop()
		cancel()
		for _, ended := range done {
			<-ended
		}
	})
	if err := mirror.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	s.write(record.Cluster{Name: "a1", Region: "west", Zone: "a"}.Record(), record.Cluster{Name: "b1", Region: "west", Zone: "b"}.Record(),
		record.Audience{Namespace: "n", Application: "app", Zones: []string{"b", "far"}}.Record())
	return s
}

// begin begins a term with a keeper that knows nothing, as after a restart.
func (s *tier) begin() {
	s.keeper = New(Config{Child: zoneOfCluster, Grace: grace,
		Own: func(region, _ string) bool { return region == "west" }}, s.mirror, slog.New(slog.DiscardHandler))
	s.lead()
}

func zoneOfCluster(c record.Cluster) string { return c.Zone }

// lead begins a term with the keeper that there is.
func (s *tier) lead() {
	s.stop()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	keeper := s.keeper
	go func() {
		defer close(done)
		_ = keeper.Run(ctx, s.writer)
	}()
	s.stop = func() {
		cancel()
		<-done
		s.stop = func() {}
	}
}

func (s *tier) write(records ...record.Record) {
	s.t.Helper()
	var writes []store.Write
	for _, r := range records {
		writes = append(writes, store.Write{Record: r, Delete: r.Content == nil, Cause: record.CausePerson})
	}
	if _, err := s.writer.Apply(s.t.Context(), writes, nil); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until cond holds of the store.
func (s *tier) await(what string, cond func(*store.Snapshot) bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for !cond(s.mirror.Snapshot()) {
		select {
		case <-deadline:
			s.t.Fatalf("waited in vain until %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// awaitTold waits until Global is told of just so many locations and places.
func (s *tier) awaitTold(what string, want ...record.Key) {
	s.t.Helper()
	s.await(what, func(*store.Snapshot) bool {
		for _, key := range want {
			if _, ok := s.outbox.Get(key); !ok {
				return false
			}
		}
		return s.outbox.Len() == len(want)
	})
}

// app is where n/app is in a cluster of a zone, by the zone's word of a sequence.
func app(cluster, zone string, sequence uint64, endpoints int32) record.Record {
	return record.Location{Namespace: "n", Application: "app", Cluster: cluster, Zone: zone, Region: "west", Epoch: 9, Sequence: sequence,
		Ready: []record.Ready{{Endpoints: endpoints}}}.Record()
}

func at(cluster, zone string) record.Record {
	return record.Place{Cluster: cluster, Zone: zone, Region: "west", Network: "blue"}.Record()
}

// bothTell begins a term in which each zone tells all, the application in its cluster, and waits until that is stored.
func (s *tier) bothTell() {
	s.t.Helper()
	s.begin()
	for cluster, zone := range map[string]string{"a1": "a", "b1": "b"} {
		s.keeper.Connected(zone, true)
		s.tell(zone, at(cluster, zone), app(cluster, zone, 1, 3))
		s.keeper.Told(zone)
		s.await("what "+zone+" tells is stored", holds(app(cluster, zone, 1, 3)))
		s.await("and its place", holds(at(cluster, zone)))
	}
}

func (s *tier) tell(zone string, records ...record.Record) []feed.Rejection {
	var puts []*record.Record
	for i := range records {
		puts = append(puts, &records[i])
	}
	return s.keeper.Take(zone, puts, nil)
}

// holds tells whether the store holds exactly this version.
func holds(r record.Record) func(*store.Snapshot) bool {
	return func(s *store.Snapshot) bool {
		e, ok := s.Get(r.Key)
		return ok && e.Version == r.Version
	}
}

func lacks(key record.Key) func(*store.Snapshot) bool {
	return func(s *store.Snapshot) bool {
		_, ok := s.Get(key)
		return !ok
	}
}

// isStale tells whether the place of a cluster is.
func isStale(cluster string, want bool) func(*store.Snapshot) bool {
	return func(s *store.Snapshot) bool {
		e, ok := s.Get(record.PlaceKey(cluster))
		if !ok {
			return false
		}
		p, err := record.DecodePlace(e.Record)
		return err == nil && p.StaleSince.IsZero() != want
	}
}
