package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// TestCloseLeavesNothing closes handles while they campaign and join: whatever came of that, nothing is on the roster
// once Close has returned, though the leases would last longer.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := serve(t, t.TempDir(), "")
	defer stop(t, srv)
	for round := range 100 {
		cfg := etcd.Config{Prefix: fmt.Sprint("/round/", round), TTL: longLease}
		s, err := srv.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		began := make(chan struct{}, 2)
		calls.Go(func() {
			began <- struct{}{}
			_, _ = s.Campaign(ctx, "a") // it may come too late
		})
		calls.Go(func() {
			began <- struct{}{}
			_, _ = s.Join(ctx, store.Member{ID: "a"}) // likewise
		})
		<-began
		<-began
		for range round % 10 { // so that Close comes early in one round and late in another
			_, _ = s.Load(ctx)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		wantEmptyRoster(ctx, t, srv, cfg)
		calls.Wait()
	}
}

func wantEmptyRoster(ctx context.Context, t *testing.T, srv *etcd.Server, cfg etcd.Config) {
	t.Helper()
	s, err := srv.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := fmt.Errorf("seen")
	err = s.WatchRoster(ctx, func(r *store.Roster) error {
		if r.Leader != "" || len(r.Members) > 0 {
			t.Errorf("after Close: leader %q and members %v", r.Leader, r.Members)
		}
		return seen
	})
	if err != seen {
		t.Fatal(err)
	}
}
