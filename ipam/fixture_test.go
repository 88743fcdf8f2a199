package ipam_test

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// logger is quiet, unless somebody looks for a fault.
func logger(name string) *slog.Logger {
	if os.Getenv("MERIDIAN_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("place", name)
}

// tree is Global, a region west and its zones a and b, of a cluster each. Each has records of its own, in memory, and a ledger of its own in one
// etcd. What the feed does between them, links do: they copy records.
type tree struct {
	t                  *testing.T
	store              *etcd.Store
	global, west, a, b *place
}

func newTree(t *testing.T) *tree {
	t.Helper()
	server, err := etcd.Embed(t.Context(), etcd.EmbedConfig{Dir: t.TempDir(), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(etcd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
		if err := server.Close(); err != nil {
			t.Errorf("closing etcd: %v", err)
		}
	})
	tr := &tree{t: t, store: s}
	tr.global = tr.place(nil, "", "")
	tr.west = tr.place(tr.global, "west", "")
	tr.a = tr.place(tr.west, "west", "a")
	tr.b = tr.place(tr.west, "west", "b")
	for _, p := range tr.places() {
		p.start()
	}
	for name, zone := range map[string]string{"a1": "a", "b1": "b"} {
		tr.global.put(record.Cluster{Name: name, Region: "west", Zone: zone}.Record())
	}
	return tr
}

func (tr *tree) places() []*place { return []*place{tr.global, tr.west, tr.a, tr.b} }

// place is one place with what it is made of.
type place struct {
	t            *testing.T
	name         string
	region, zone string
	parent       *place
	children     []*place
	mirror       *store.Mirror
	writer       *store.Writer
	ledgers      ledger.Config
	tier         *ipam.Tier
	ledger       *ledger.Ledger
	stop         func()

	mu        sync.Mutex
	said      map[record.Key]record.Record // what goes up, guarded by mu
	connected bool                         // to the parent, guarded by mu
	states    map[string]ipam.PoolState    // as reported, guarded by mu
	reclaimed []string                     // the children of whom Reclaimed was told
}

func (tr *tree) place(parent *place, region, zone string) *place {
	t := tr.t
	name := strings.Trim(region+"/"+zone, "/")
	backend := mem.New()
	p := &place{t: t, name: name, region: region, zone: zone, parent: parent, mirror: store.NewMirror(backend, slog.New(slog.DiscardHandler)),
		ledgers:   ledger.Config{Client: tr.store.Client(), Prefix: "/test/" + t.Name() + "/" + region + "-" + zone, Log: logger(name)},
		connected: true, said: map[record.Key]record.Record{}, states: map[string]ipam.PoolState{}, stop: func() {}}
	if parent != nil {
		parent.children = append(parent.children, p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	term, err := backend.Campaign(ctx, "p")
	if err != nil {
		t.Fatal(err)
	}
	p.writer = store.NewWriter(backend, p.mirror, term)
	var running sync.WaitGroup
	running.Go(func() { _ = p.mirror.Run(ctx) })
	if err := p.mirror.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if parent != nil {
		running.Go(func() { p.copyDown(ctx) })
	}
	t.Cleanup(func() {
		p.stop()
		cancel()
		running.Wait()
	})
	return p
}

// copyDown brings the place what its parent's store has for it, whenever that changes.
func (p *place) copyDown(ctx context.Context) {
	sub := p.parent.mirror.Subscribe()
	defer sub.Close()
	for {
		if _, err := sub.Next(ctx); err != nil {
			return
		}
		p.sync(ctx)
	}
}

// sync makes the place's store hold what the parent's has for it, if they are connected.
func (p *place) sync(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.connected {
		return
	}
	above, here := p.parent.mirror.Snapshot(), p.mirror.Snapshot()
	var writes []store.Write
	for e := range above.Entries() {
		if p.forHere(e.Key) {
			writes = append(writes, store.Write{Record: e.Record})
		}
	}
	for e := range here.Entries() {
		if _, ok := above.Get(e.Key); !ok && p.forHere(e.Key) {
			writes = append(writes, store.Write{Record: record.Record{Key: e.Key}, Delete: true, Cause: record.CausePerson})
		}
	}
	if _, err := p.writer.Apply(ctx, writes, nil); err != nil && ctx.Err() == nil {
		p.t.Errorf("writing at %s: %v", p.name, err)
	}
}

// forHere tells whether a record is one that the parent sends here.
func (p *place) forHere(k record.Key) bool {
	parts := k.Parts()
	switch k.Kind {
	case record.KindPool, record.KindCluster:
		return true
	case record.KindPrefix:
		return parts[0] == p.region && (parts[1] == p.zone || p.zone == "" && parts[1] == "-")
	case record.KindClaim:
		return parts[0] == p.region && (p.zone == "" || parts[1] == p.zone)
	}
	return false
}

// start opens the ledger, which deposes whoever has it, and runs a tier.
func (p *place) start() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := ledger.Open(ctx, p.ledgers)
	if err != nil {
		p.t.Fatalf("opening the ledger of %s: %v", p.name, err)
	}
	p.mu.Lock()
	clear(p.said)
	p.mu.Unlock()
	tier := ipam.New(ipam.Config{Region: p.region, Zone: p.zone, Mirror: p.mirror, Writer: p.writer, Ledger: l, Tell: p.tell,
		Untell: p.untell, Log: logger(p.name), Report: func(s ipam.PoolState) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.states[s.Name] = s
		}, Connected: func(child string) bool {
			return slices.ContainsFunc(p.children, func(c *place) bool { return c.name == child && c.linked() })
		}, Reclaimed: func(child string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.reclaimed = append(p.reclaimed, child)
		}})
	p.mu.Lock()
	p.ledger, p.tier = l, tier
	p.mu.Unlock()
	var running sync.WaitGroup
	running.Go(func() { _ = l.Run(ctx) })
	running.Go(func() { _ = tier.Run(ctx) })
	for _, c := range p.children {
		c.retell()
	}
	tier.Settled()
	p.stop = func() {
		cancel()
		running.Wait()
		_ = l.Close()
		p.stop = func() {}
	}
}

// restart ends the tier, as a process that is killed, and starts another.
func (p *place) restart() {
	p.stop()
	p.start()
}

func (p *place) tell(r record.Record) {
	p.mu.Lock()
	p.said[r.Key] = r
	up := p.connected
	p.mu.Unlock()
	if up && p.parent != nil {
		p.parent.hear(p.name, r)
	}
}

func (p *place) untell(k record.Key, _ record.Cause) {
	p.mu.Lock()
	delete(p.said, k)
	up := p.connected && p.parent != nil
	p.mu.Unlock()
	if up && k.Kind == record.KindDemand {
		p.parent.current().Gone(p.name, k)
	}
}

func (p *place) hear(child string, r record.Record) {
	d, err := record.DecodeDemand(r)
	if tier := p.current(); err == nil && tier != nil {
		tier.Demand(child, d)
	}
}

func (p *place) current() *ipam.Tier {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tier
}

func (p *place) linked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connected
}

// retell tells the parent again all that was said.
func (p *place) retell() {
	p.mu.Lock()
	said, up := slices.Collect(maps.Values(p.said)), p.connected
	p.mu.Unlock()
	for _, r := range said {
		if up {
			p.parent.hear(p.name, r)
		}
	}
}

// cut cuts the place off from its parent; join ends that.
func (p *place) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected = false
}

func (p *place) join() {
	p.mu.Lock()
	p.connected = true
	p.mu.Unlock()
	p.sync(context.Background())
	p.retell()
}
