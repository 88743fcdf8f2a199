package ipam_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// tree is Global, a region west and its zones a and b. Each has records of its own, in memory, and a ledger of its own in one
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

// put writes records where they are made: at Global. A record with no content is removed.
func (p *place) put(records ...record.Record) {
	p.t.Helper()
	var writes []store.Write
	for _, r := range records {
		writes = append(writes, store.Write{Record: r, Delete: r.Content == nil, Cause: record.CausePerson})
	}
	if _, err := p.writer.Apply(context.Background(), writes, nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) remove(k record.Key) { p.put(record.Record{Key: k}) }

// allotment is what the place says of a claim.
func (p *place) allotment(owner string) (record.Allotment, bool) {
	p.mu.Lock()
	r, ok := p.said[record.AllotmentKey(p.region, p.zone, owner)]
	p.mu.Unlock()
	if !ok {
		return record.Allotment{}, false
	}
	a, err := record.DecodeAllotment(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return a, true
}

// claim is one of the place.
func (p *place) claim(owner string, c record.Claim) record.Record {
	c.Owner, c.Region, c.Zone = owner, p.region, p.zone
	return c.Record()
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// has waits until a claim has something, and returns it.
func (p *place) has(owner string) netip.Prefix {
	p.t.Helper()
	var a record.Allotment
	await(p.t, fmt.Sprintf("%s has something at %s", owner, p.name), func() bool {
		a, _ = p.allotment(owner)
		return a.Prefix.IsValid()
	})
	return a.Prefix
}

// refused waits until a claim has nothing for a reason, and returns the message.
func (p *place) refused(owner, reason string) string {
	p.t.Helper()
	var a record.Allotment
	await(p.t, fmt.Sprintf("%s is refused at %s: %s", owner, p.name, reason), func() bool {
		a, _ = p.allotment(owner)
		return a.Reason == reason
	})
	if a.Prefix.IsValid() {
		p.t.Errorf("%s is refused and has %s", owner, a.Prefix)
	}
	return a.Message
}

// entries are all that the ledger of a place has.
func (p *place) entries(q ledger.Query) (out []ledger.Entry) {
	p.t.Helper()
	for {
		page, next, err := p.ledger.List(context.Background(), q)
		if err != nil {
			p.t.Fatalf("listing at %s: %v", p.name, err)
		}
		out = append(out, page...)
		if q.From = next; next == "" {
			return out
		}
	}
}

// blocks are the open and the closed blocks of a pool.
func (p *place) blocks(pool string) (open, closed []netip.Prefix) {
	for _, b := range p.ledger.Usage(pool).Blocks {
		if b.Closed {
			closed = append(closed, b.Prefix)
		} else {
			open = append(open, b.Prefix)
		}
	}
	return open, closed
}

// holds waits until the place has as many open blocks of a pool, and no other.
func (p *place) holds(pool string, want int) []netip.Prefix {
	p.t.Helper()
	var open, closed []netip.Prefix
	await(p.t, fmt.Sprintf("%s holds %d blocks of %s (at last %v, closed %v)", p.name, want, pool, open, closed), func() bool {
		open, closed = p.blocks(pool)
		return len(open) == want && len(closed) == 0
	})
	return open
}

// pods is a pool of /24 for regions and /26 for zones, and of addresses for claims.
func pods(ranges ...string) record.Pool {
	p := record.Pool{Name: "pods", Purpose: record.PurposePod, RegionLength: 24, ZoneLength: 26, ClaimLength: 32, LowWater: 20, HighWater: 60,
		Quarantine: 20 * time.Millisecond}
	for _, r := range ranges {
		p.Ranges = append(p.Ranges, record.Range{Prefix: prefix(r)})
	}
	return p
}
