package az

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zoneStore is a store in memory with its leader's writer and a running mirror.
type zoneStore struct {
	ctx    context.Context
	mirror *store.Mirror
	writer *store.Writer
	sub    *store.Subscription
	stop   func()
}

// failer is what both *testing.T and *rapid.T can do.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
}

func newZoneStore(t failer) *zoneStore {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	s := mem.New()
	term, err := s.Campaign(ctx, "zone")
	if err != nil {
		t.Fatal(err)
	}
	z := &zoneStore{ctx: ctx, mirror: store.NewMirror(s, slog.New(slog.DiscardHandler))}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = z.mirror.Run(ctx)
	}()
	z.writer = store.NewWriter(s, z.mirror, term)
	z.sub = z.mirror.Subscribe()
	z.stop = func() {
		z.sub.Close()
		cancel()
		<-done
		_ = s.Close()
	}
	return z
}

// write applies writes and returns the update that they make.
func (z *zoneStore) write(t failer, writes ...store.Write) store.Update {
	t.Helper()
	changed, err := z.writer.Apply(z.ctx, writes, nil)
	if err != nil {
		t.Fatal(err)
	}
	if changed == 0 {
		return store.Update{New: z.mirror.Snapshot()}
	}
	u, err := z.sub.Next(z.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func put(r record.Record) store.Write { return store.Write{Record: r} }
