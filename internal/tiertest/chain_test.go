package tiertest_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/az"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/region"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain is a parent, region west, its zones and their clusters' agents.
type chain struct {
	parent  *tiertest.Parent
	agents  map[string]*tiertest.Child
	restart map[string]func() // by tier: stops it and starts it again
	stop    map[string]func()
}

type runner interface {
	Run(ctx context.Context) error
}

// newChain starts region west with zones a (clusters a-1, a-2) and b (cluster b-1), on stores that open makes.
func newChain(t testing.TB, open func(name string) store.Store) *chain {
	t.Helper()
	c := &chain{parent: tiertest.NewParent(t, "global"), agents: map[string]*tiertest.Child{}, restart: map[string]func(){}, stop: map[string]func(){}}
	log := slog.New(slog.DiscardHandler)
	tier := func(name string, build func(s store.Store, l net.Listener) runner) (address string) {
		s, address := open(name), "127.0.0.1:0"
		start := func() {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			address = listener.Addr().String()
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			tier := build(s, listener)
			go func() { done <- tier.Run(ctx) }()
			c.stop[name] = func() {
				cancel()
				if err := <-done; err != nil {
					t.Errorf("running %s: %v", name, err)
				}
				c.stop[name] = func() {}
			}
		}
		start()
		c.restart[name] = func() {
			c.stop[name]()
			start()
		}
		t.Cleanup(func() { c.stop[name]() })
		return address
	}
	up := tier("region", func(s store.Store, l net.Listener) runner {
		cfg := region.Config{ID: "region-0", Region: "west", Global: []string{c.parent.Address}, Settle: 300 * time.Millisecond}
		cfg.Default()
		return region.New(cfg, region.Deps{Store: s, Listener: l, Log: log, Identity: tiertest.Source(t, "region/west"), Ledger: ledgerBeside(s)})
	})
	for zone, clusters := range map[string][]string{"a": {"a-1", "a-2"}, "b": {"b-1"}} {
		address := tier(zone, func(s store.Store, l net.Listener) runner {
			cfg := az.Config{ID: "zone-0", Region: "west", Zone: zone, Parent: []string{up}, Settle: 300 * time.Millisecond}
			cfg.Default()
			return az.New(cfg, az.Deps{Store: s, Listener: l, Log: log, Identity: tiertest.Source(t, "region/west/zone/"+zone),
				Ledger: ledgerBeside(s)})
		})
		for _, name := range clusters {
			c.parent.Put(record.Cluster{Name: name, Region: "west", Zone: zone, Environments: []string{"prod"},
				Mesh: record.Mesh{RootNamespace: "istio-system"}}.Record())
			agent := tiertest.NewChild(t, "cluster", "region/west/zone/"+zone+"/cluster/"+name, address)
			agent.Ready(tiertest.Replicas)
			agent.Start()
			c.agents[name] = agent
		}
	}
	tiertest.Await(t, "all agents are connected", func() bool {
		for _, a := range c.agents {
			if !a.Connected() {
				return false
			}
		}
		return true
	})
	return c
}

// ledgerBeside is the ledger of addresses of a tier whose store is an etcd; none otherwise.
func ledgerBeside(s store.Store) ledger.Config {
	if s, ok := s.(*etcd.Store); ok {
		return ledger.Config{Client: s.Client(), Prefix: s.Prefix()}
	}
	return ledger.Config{}
}

// edits are what Global would send for an application that runs once in each cluster.
func edits(name, image string) []feed.Edit {
	revision := record.Revision{Namespace: "n", Application: name, Environment: "prod", Spec: fmt.Appendf(nil,
		`{"template":{"metadata":{},"spec":{"containers":[{"name":"c","image":%q}]}},"ports":[{"name":"http","port":80}],"placement":{"mode":"Duplicated"}}`,
		image)}.Record()
	policy := record.Policy{Namespace: "n", Application: name, Environment: "prod", TrustDomain: "prod.example.com"}.Record()
	out := []feed.Edit{feed.Put(&revision), feed.Put(&policy)}
	for _, zone := range []string{"a", "b"} {
		a := record.Assignment{Namespace: "n", Application: name, Zone: zone, Region: "west",
			Revision: revision.Version.String(), Replicas: 1, Generation: mesh.Generation}.Record()
		out = append(out, feed.Put(&a))
	}
	return out
}

// removal removes it, as a person would.
func removal(name, image string) []feed.Edit {
	var out []feed.Edit
	for _, e := range slices.Backward(edits(name, image)) {
		out = append(out, feed.Remove(e.Key, record.CausePerson))
	}
	return out
}

func deployment(name string) record.Key {
	return object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "n", Name: name}.Key()
}

func ready(clusters int32) func(record.Status) bool {
	return func(s record.Status) bool { return s.Clusters == clusters && rollup.Ready(s.Counts) }
}

func inMemory(string) store.Store { return mem.New() }

// TestChain takes an application through region and zones to the clusters and back up, and every tier through a restart
// with its parent away.
func TestChain(t *testing.T) {
	c := newChain(t, inMemory)
	c.parent.Edit(edits("cart", "cart:1")...)
	s := c.parent.AwaitStatus(t, "n/cart", "cart is ready everywhere", ready(3))
	if len(s.Lines) != 2 || s.Lines[0].Clusters != 2 || s.Lines[1].Clusters != 1 {
		t.Errorf("status: got lines %+v, want zone a with two clusters and zone b with one", s.Lines)
	}
	writes := map[string]int{}
	for name, a := range c.agents {
		writes[name] = a.Writes()
	}
	c.parent.Stop()
	c.stop["region"]()
	c.restart["a"]()
	tiertest.Await(t, "the agents of zone a are back", func() bool { return c.agents["a-1"].Connected() && c.agents["a-2"].Connected() })
	c.restart["region"]()
	c.restart["b"]()
	c.parent.Start(t)
	c.parent.Edit(edits("late", "late:1")...)
	c.parent.AwaitStatus(t, "n/late", "late is ready everywhere", ready(3))
	c.parent.AwaitStatus(t, "n/cart", "cart is still ready everywhere", ready(3))
	for name, a := range c.agents {
		if got, want := a.Writes(), writes[name]+6; got != want {
			t.Errorf("cluster %s was written %d times, want %d: only late's objects since", name, got, want)
		}
	}
	c.parent.Edit(removal("cart", "cart:1")...)
	for name, a := range c.agents {
		a.Await(t, "cart is gone from "+name, func(held map[record.Key]record.Record) bool {
			_, there := held[deployment("cart")]
			return !there && len(held) == 8
		})
	}
}

// onEtcd opens stores on etcd servers in this process.
func onEtcd(t testing.TB) func(string) store.Store {
	return func(string) store.Store {
		s, closeStore, err := etcd.Open(context.Background(), etcd.OpenConfig{Prefix: "/meridian", Dir: t.TempDir(),
			Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := closeStore(); err != nil {
				t.Errorf("closing etcd: %v", err)
			}
		})
		return s
	}
}

// BenchmarkChainOne takes one application after another through idle tiers, on etcd with fsync: the time until all three
// clusters hold it.
func BenchmarkChainOne(b *testing.B) {
	c := newChain(b, onEtcd(b))
	var times []time.Duration
	for i := range b.N {
		name := fmt.Sprint("app-", i)
		began := time.Now()
		c.parent.Edit(edits(name, "x:1")...)
		for _, a := range c.agents {
			a.Await(b, name+" arrives", func(held map[record.Key]record.Record) bool {
				_, ok := held[deployment(name)]
				return ok
			})
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkChainAmong takes one changed application after another through tiers in memory, the region of which holds n
// records of other applications in another zone.
func BenchmarkChainAmong(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			var west store.Store
			c := newChain(b, func(name string) store.Store {
				s := mem.New()
				if name == "region" {
					west = s
				}
				return s
			})
			var others []feed.Edit
			for i := range n / 2 {
				e := edits(fmt.Sprint("other-", i), "x:1")
				a := record.Assignment{Namespace: "n", Application: fmt.Sprint("other-", i), Zone: "elsewhere", Region: "west",
					Revision: e[0].Record.Version.String(), Replicas: 1, Generation: mesh.Generation}.Record()
				others = append(others, e[0], feed.Put(&a))
			}
			c.parent.Edit(others...)
			tiertest.Await(b, "the region has the others", func() bool {
				state, err := west.Load(b.Context())
				return err == nil && len(state.Entries) >= n
			})
			runtime.GC()
			round := 0
			for b.Loop() {
				round++
				want := edits("app", fmt.Sprint("x:", round%2))
				c.parent.Edit(want...)
				for _, a := range c.agents {
					a.Await(b, "the change arrives", arrived(fmt.Sprint("x:", round%2)))
				}
			}
		})
	}
}

// arrived tells whether a cluster runs app with an image.
func arrived(image string) func(map[record.Key]record.Record) bool {
	return func(held map[record.Key]record.Record) bool {
		return bytes.Contains(held[deployment("app")].Content, []byte(image))
	}
}

// BenchmarkChainMany creates 500 applications at once in three clusters, on etcd with fsync, changes all, and removes all.
func BenchmarkChainMany(b *testing.B) {
	const n = 500
	for range b.N {
		c := newChain(b, onEtcd(b))
		measure := func(unit string, all []feed.Edit, done func(map[record.Key]record.Record) bool) {
			began := time.Now()
			for chunk := range slices.Chunk(all, 4) { // one application at a time, as Global writes them
				c.parent.Edit(chunk...)
			}
			for _, a := range c.agents {
				a.Await(b, unit, done)
			}
			b.ReportMetric(time.Since(began).Seconds(), unit)
		}
		var create, change, remove []feed.Edit
		for i := range n {
			name := fmt.Sprint("app-", i)
			create = append(create, edits(name, "x:1")...)
			change = append(change, edits(name, "x:2")...)
			remove = append(remove, removal(name, "x:2")...)
		}
		measure("create-s", create, func(held map[record.Key]record.Record) bool { return len(held) == 2+6*n })
		first := c.agents["a-1"].Held()
		measure("change-s", change, func(held map[record.Key]record.Record) bool {
			for i := range n {
				key := deployment(fmt.Sprint("app-", i))
				if held[key].Version == first[key].Version {
					return false
				}
			}
			return true
		})
		measure("remove-s", remove, func(held map[record.Key]record.Record) bool { return len(held) == 0 })
	}
}
