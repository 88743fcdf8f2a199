package ipam_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestNetworks: a place holds something of a network's pool while it has a cluster there.
func TestNetworks(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/16")
	pool.Network = "blue"
	cluster := record.Cluster{Name: "a1", Region: "west", Zone: "a", Network: "blue"}.Record()
	tr.global.put(pool.Record(), cluster, tr.b.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
	tr.a.holds("pods", 1)
	tr.b.has("ipclaim/n/1") // for which it asks all the same
	tr.global.remove(record.ClaimKey("west", "b", "ipclaim/n/1"))
	tr.b.holds("pods", 0)
	tr.a.holds("pods", 1)
	tr.global.put(record.Cluster{Name: "b1", Region: "west", Zone: "b", Network: "blue.b1"}.Record()) // which is set apart
	tr.b.holds("pods", 1)
	tr.global.remove(record.ClusterKey("b1"))
	tr.b.holds("pods", 0)
	tr.global.remove(cluster.Key)
	for _, p := range tr.places()[1:] {
		p.holds("pods", 0)
	}
	await(t, "all has come back to Global", func() bool {
		u := tr.global.ledger.Usage("pods")
		return len(u.Blocks) == 1 && u.Blocks[0].Idle
	})
}

// TestMadeUp: what a crash left between the ledger and the records is made up from the ledger, and a record that the ledger has
// forgotten from the record.
func TestMadeUp(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/16")
	pool.Quarantine = 0
	tr.a.cut() // so that zone b has the lower one, which zone a would get if all was given anew
	tr.global.put(pool.Record())
	b := tr.b.holds("pods", 1)[0]
	tr.a.join()
	a := tr.a.holds("pods", 1)[0]
	tr.west.stop()
	l, err := ledger.Open(t.Context(), tr.west.ledgers)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Allocate(t.Context(), ledger.Request{Owner: "delegated/west/a/pods/7", Pool: "pods", Length: 26})
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"delegated/west/a/pods/0", "delegated/west/b/pods/0"} {
		if _, err := l.Release(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Allocate(t.Context(), ledger.Request{Owner: "ipclaim/n/gone", Pool: "pods", Length: 32}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tr.west.start()
	<-tr.west.tier.Ready()
	for child, want := range map[string]netip.Prefix{"west/a": a, "west/b": b} {
		if all := tr.west.tier.Delegations(); !slices.ContainsFunc(all, func(d ipam.Delegation) bool { return d.Child == child && d.Prefix == want }) {
			t.Errorf("as soon as it is ready, %s is not %s's: %v", want, child, all)
		}
	}
	await(t, "zone a has returned what it does not need, of which it was told", func() bool {
		_, err := tr.west.ledger.Get(t.Context(), e.Owner)
		return errors.Is(err, ledger.ErrNotFound)
	})
	await(t, "what nobody claims is released", func() bool { return len(tr.west.entries(ledger.Query{OwnerPrefix: "ipclaim/"})) == 0 })
	tr.check()
}

// TestUnsettled: a region gives nothing back before it has heard from its zones.
func TestUnsettled(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/16")
	pool.Network, pool.LowWater, pool.HighWater = "blue", 80, 95
	tr.global.put(pool.Record(), record.Cluster{Name: "a1", Region: "west", Zone: "a", Network: "blue"}.Record())
	tr.a.holds("pods", 1)
	open := tr.west.holds("pods", 2)
	tr.west.stop()
	l, err := ledger.Open(t.Context(), tr.west.ledgers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	told := make(chan record.Demand, 100)
	tier := ipam.New(ipam.Config{Region: "west", Mirror: tr.west.mirror, Writer: tr.west.writer, Ledger: l, Log: logger("west"),
		Tell: func(r record.Record) {
			if d, err := record.DecodeDemand(r); err == nil {
				told <- d
			}
		}, Untell: func(record.Key, record.Cause) {}})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = l.Run(ctx) })
	running.Go(func() { _ = tier.Run(ctx) })
	defer running.Wait()
	defer cancel()
	pool.LowWater, pool.HighWater = 20, 60 // from now on, it would do with one
	tr.global.put(pool.Record())
	await(t, "the region has seen the pool's new mark", func() bool {
		return len(tier.Pools()) == 1 && tier.Pools()[0].Spec.HighWater == 60
	})
	for _, b := range l.Usage("pods").Blocks {
		if b.Closed {
			t.Errorf("before its zones have spoken it closes %s", b.Prefix)
		}
	}
	if d := <-told; d.Want != 2 || len(d.Returned) != 0 {
		t.Errorf("before its zones have spoken it tells %+v, want that it keeps two", d)
	}
	tier.Settled()
	await(t, "it returns one", func() bool {
		select {
		case d := <-told:
			return d.Want == 1 && len(d.Returned) == 1 && slices.Contains(open, d.Returned[0])
		default:
			return false
		}
	})
}

// TestLateDemand: what a child's deposed leader says counts no more.
func TestLateDemand(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record())
	had := tr.a.holds("pods", 1)[0]
	tr.west.tier.Demand("west/a", record.Demand{Pool: "pods", Region: "west", Zone: "a", Want: 1, Returned: []netip.Prefix{had}, Revision: 1,
		Epoch: tr.a.epoch()})
	tr.west.tier.Demand("west/b", record.Demand{Pool: "pods", Region: "west", Zone: "a", Want: 100})
	tr.west.tier.Demand("east/a", record.Demand{Pool: "pods", Region: "east", Zone: "a", Want: 100})
	if _, err := tr.west.tier.Audit(t.Context()); err != nil { // by when it has heard
		t.Fatal(err)
	}
	tr.global.put(tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods", Length: 27}))
	if got := tr.a.has("ipclaim/n/1"); !had.Overlaps(got) {
		t.Errorf("the zone allocates %s, want it in %s, which it kept", got, had)
	}
	if got := len(tr.west.tier.Delegations()); got > 3 {
		t.Errorf("the region has given %d prefixes, want at most 3", got)
	}
}

func (p *place) epoch() uint64 {
	epoch, _ := p.ledger.Position()
	return epoch
}

// TestCollector shows what there is of a pool while a tier runs.
func TestCollector(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/24")
	pool.RegionLength, pool.ZoneLength = 26, 26
	tr.global.put(pool.Record(), tr.global.claim("ipclaim/n/1", record.Claim{Pool: "pods", Length: 26}),
		tr.global.claim("ipclaim/n/2", record.Claim{Pool: "pods", Length: 24}), tr.a.claim("ipclaim/n/3", record.Claim{Pool: "pods", Length: 26}))
	tr.global.has("ipclaim/n/1")
	tr.global.refused("ipclaim/n/2", "PoolExhausted")
	tr.a.has("ipclaim/n/3")
	c := ipam.NewCollector()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	c.SetBack(true)
	if families, err := registry.Gather(); err != nil || len(families) != 1 {
		t.Errorf("with no tier it shows %v, %v, want only that the store was set back", families, err)
	}
	c.SetBack(false)
	c.Show(tr.global.tier)
	value := func(name string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatalf("there is no %s", name)
		return 0
	}
	for name, want := range map[string]float64{"meridian_ipam_addresses": 256, "meridian_ipam_addresses_taken": 256,
		"meridian_ipam_addresses_delegated": 192, "meridian_ipam_delegations": 3, "meridian_ipam_claims_waiting": 1,
		"meridian_ipam_prefixes_short": 1, "meridian_ipam_blocks": 1, "meridian_ipam_low_water_ratio": 0.2,
		"meridian_ipam_addresses_largest_free": 0, "meridian_ipam_set_back": 0, "meridian_ipam_exhaustion_seconds": 0} {
		await(t, fmt.Sprintf("%s is %v (it was %v)", name, want, value(name)), func() bool { return value(name) == want })
	}
	c.Show(nil)
	if families, err := registry.Gather(); err != nil || len(families) != 1 {
		t.Errorf("when the term is over it shows %v, %v", families, err)
	}
}

// TestForgotten: the ledger has lost all, blocks too, and the records are kept. What places below were told stays theirs, whoever asks
// first, also of a range that drains.
func TestForgotten(t *testing.T) {
	for _, draining := range []bool{false, true} {
		t.Run(fmt.Sprintf("draining=%t", draining), func(t *testing.T) {
			tr := newTree(t)
			pool := pods("10.0.0.0/24")
			pool.RegionLength, pool.ZoneLength = 26, 26
			tr.global.put(pool.Record())
			had := tr.west.holds("pods", 3) // one for each zone, and one that is free
			tr.global.stop()
			for _, p := range tr.places()[1:] {
				p.cut() // so that nobody says what it has
			}
			pool.Ranges[0].Draining = draining
			tr.global.put(pool.Record())
			for n := range 4 {
				tr.global.put(tr.global.claim(fmt.Sprintf("ipclaim/n/%d", n), record.Claim{Pool: "pods", Length: 26}))
			}
			if _, err := tr.store.Client().Delete(t.Context(), tr.global.ledgers.Prefix+"/", clientv3.WithPrefix()); err != nil {
				t.Fatal(err)
			}
			tr.global.start()
			<-tr.global.tier.Ready()
			got := map[netip.Prefix]int{}
			for _, d := range tr.global.tier.Delegations() {
				if d.Child == "west" {
					got[d.Prefix]++
				}
			}
			for _, p := range had {
				if got[p] != 1 || len(got) != len(had) {
					t.Errorf("west has %v, want %v, as before", got, had)
				}
			}
			for _, e := range tr.global.entries(ledger.Query{OwnerPrefix: "ipclaim/"}) {
				if slices.ContainsFunc(had, e.Prefix.Overlaps) || draining {
					t.Errorf("%s has %s", e.Owner, e.Prefix)
				}
			}
			if _, closed := tr.global.blocks("pods"); (len(closed) == 1) != draining {
				t.Errorf("closed are %v, want that of the range: %t", closed, draining)
			}
		})
	}
}

// TestForeignReturn: a child that returns what it was never given gets nothing more, and costs the pool nothing.
func TestForeignReturn(t *testing.T) {
	tests := []struct {
		name     string
		returned []netip.Prefix
	}{
		{"everything", []netip.Prefix{prefix("0.0.0.0/0")}},
		{"another's", []netip.Prefix{prefix("10.0.200.0/24")}},
		{"too many", slices.Repeat([]netip.Prefix{prefix("10.0.200.0/24")}, 5000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			pool := pods("10.0.0.0/16")
			pool.Quarantine = time.Hour
			tr.global.put(pool.Record())
			tr.west.holds("pods", 1)
			tr.west.cut()
			say := func(want int, returned []netip.Prefix) {
				t.Helper()
				tr.global.tier.Demand("west", record.Demand{Pool: "pods", Region: "west", Want: want, Returned: returned})
				for range 2 { // by when it has heard, and answered
					if _, err := tr.global.tier.Audit(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			say(1024, tt.returned)
			if u := tr.global.ledger.Usage("pods").Blocks[0]; u.Taken != 256 || u.Quarantined != 0 {
				t.Errorf("%v addresses are taken and %v in quarantine, want 256 and 0", u.Taken, u.Quarantined)
			}
			say(2, nil)
			await(t, "what it asks for then it gets", func() bool { return len(tr.global.tier.Delegations()) == 2 })
		})
	}
}

// TestLeft: a zone whose last cluster is gone gives back all that is idle, and the rest when its last claim is released; so does its
// region.
func TestLeft(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record(), tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
	tr.a.has("ipclaim/n/1")
	tr.b.holds("pods", 1)
	tr.global.remove(record.ClusterKey("a1"))
	tr.global.remove(record.ClusterKey("b1"))
	tr.b.holds("pods", 0)
	tr.a.holds("pods", 1)
	tr.global.remove(record.ClaimKey("west", "a", "ipclaim/n/1"))
	for _, p := range tr.places()[1:] {
		p.holds("pods", 0)
	}
	await(t, "all has come back to Global", func() bool {
		u := tr.global.ledger.Usage("pods")
		return len(u.Blocks) == 1 && u.Blocks[0].Idle
	})
	tr.global.put(record.Cluster{Name: "b1", Region: "west", Zone: "b"}.Record())
	tr.b.holds("pods", 1)
	tr.west.holds("pods", 1)
}
