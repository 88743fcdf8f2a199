package ipam

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// newPools makes Global's tier, with no loop, of so many pools, each with a block of four addresses that was looked at.
func newPools(t testing.TB, n int) *Tier {
	t.Helper()
	server, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: t.TempDir(), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(etcd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), ledger.Config{Client: s.Client(), Prefix: s.Prefix()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		_ = s.Close()
		_ = server.Close()
	})
	tier := New(Config{Ledger: l, Log: slog.New(slog.DiscardHandler)})
	for i := range n {
		name, block := fmt.Sprintf("pool-%d", i), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 30)
		v := record.Pool{Name: name, Purpose: record.PurposePod, Ranges: []record.Range{{Prefix: block}}, ClaimLength: 32}.Record()
		if err := tier.applyPool(store.Change{Key: v.Key, New: &store.Entry{Record: v}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tier.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(tier.Pools()); got != n {
		t.Fatalf("%d pools are shown, want %d", got, n)
	}
	return tier
}

// TestLooks: of all pools only that is looked at of which something changed in the ledger.
func TestLooks(t *testing.T) {
	tier := newPools(t, 3)
	tier.refresh()
	var seen []string
	tier.cfg.Report = func(s PoolState) { seen = append(seen, s.Name) }
	for _, p := range tier.pools {
		p.usage = ledger.Usage{} // so that whoever is looked at has changed
	}
	if _, err := tier.cfg.Ledger.Allocate(t.Context(), ledger.Request{Owner: "local/x", Pool: "pool-1", Length: 32}); err != nil {
		t.Fatal(err)
	}
	if err := tier.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0] != "pool-1" || len(tier.pools["pool-0"].usage.Blocks) > 0 {
		t.Errorf("looked at were %q, want pool-1 alone", seen)
	}
	if taken := tier.Pools()[1].Usage.Blocks[0].Taken; taken != 1 {
		t.Errorf("%v addresses of pool-1 are shown as taken, want 1", taken)
	}
}

// BenchmarkChange is what the tier does after an address of one of many pools was taken, or given back.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("pools=%d", n), func(b *testing.B) {
			tier := newPools(b, n)
			l, taken := tier.cfg.Ledger, false
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				var err error
				if taken = !taken; taken {
					_, err = l.Allocate(b.Context(), ledger.Request{Owner: "local/x", Pool: "pool-0", Length: 32})
				} else {
					_, err = l.Release(b.Context(), "local/x")
				}
				b.StartTimer()
				if err = errors.Join(err, tier.work(b.Context())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
