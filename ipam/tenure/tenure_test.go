package tenure_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/ipam/tenure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// place is Global's address space, with a pool, on a store in memory and a ledger in a real etcd.
type place struct {
	t        *testing.T
	mirror   *store.Mirror
	writer   *store.Writer
	term     store.Term
	cfg      tenure.Config
	registry *prometheus.Registry
	tenure   *tenure.Tenure

	mu      sync.Mutex // guards all below
	said    map[record.Key]record.Record
	changed chan struct{}
	tiers   []*ipam.Tier // as they began and ended
}

// newEtcd runs an etcd until the test ends.
func newEtcd(t *testing.T) *clientv3.Client {
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
		if err := errors.Join(s.Close(), server.Close()); err != nil {
			t.Errorf("closing etcd: %v", err)
		}
	})
	return s.Client()
}

func newPlace(t *testing.T) *place {
	t.Helper()
	backend := mem.New()
	p := &place{t: t, mirror: store.NewMirror(backend, discard), registry: prometheus.NewRegistry(), said: map[record.Key]record.Record{},
		changed: make(chan struct{})}
	p.cfg = tenure.Config{Mirror: p.mirror, Log: discard, Ledger: ledger.Config{Client: newEtcd(t), Prefix: "/test",
		Witness: filepath.Join(t.TempDir(), "beside", "witness"), Log: discard}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.mirror.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	term, err := backend.Campaign(ctx, "p")
	if err != nil {
		t.Fatal(err)
	}
	p.writer, p.term = store.NewWriter(backend, p.mirror, term), term
	p.renew()
	p.put(record.Pool{Name: "p", Purpose: record.PurposeService, Ranges: []record.Range{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}},
		ClaimLength: 32, LowWater: 20, HighWater: 60}.Record())
	return p
}

// renew makes another tenure of the same place, as a process that has started again.
func (p *place) renew() {
	p.registry = prometheus.NewRegistry()
	p.cfg.Registry = p.registry
	p.tenure = tenure.New(p.cfg)
}

// lead runs a term and returns what ends it, and what is closed when all has been told.
func (p *place) lead() (stop func(), told <-chan struct{}) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, all := make(chan error, 1), make(chan struct{})
	p.mu.Lock()
	clear(p.said)
	p.mu.Unlock()
	go func() {
		done <- p.tenure.Run(ctx, tenure.Term{Writer: p.writer, Told: all,
			Tell:   func(r record.Record) { p.change(func() { p.said[r.Key] = r }) },
			Untell: func(k record.Key, _ record.Cause) { p.change(func() { delete(p.said, k) }) },
			Began:  func(t *ipam.Tier) { p.change(func() { p.tiers = append(p.tiers, t) }) }})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			p.t.Errorf("the term ended with %v, want the context's end", err)
		}
	})
	p.t.Cleanup(stop)
	return stop, all
}

func (p *place) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *place) put(records ...record.Record) {
	p.t.Helper()
	var writes []store.Write
	for _, r := range records {
		writes = append(writes, store.Write{Record: r, Delete: r.Content == nil, Cause: record.CausePerson})
	}
	if _, err := p.writer.Apply(p.t.Context(), writes, nil); err != nil {
		p.t.Fatal(err)
	}
}

func claim(owner string) record.Record { return record.Claim{Owner: owner, Pool: "p"}.Record() }

// await waits until what is told satisfies cond.
func (p *place) await(what string, cond func(said map[record.Key]record.Record) bool) {
	p.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		p.mu.Lock()
		said, changed := maps.Clone(p.said), p.changed
		p.mu.Unlock()
		if cond(said) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			p.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// has waits until an owner has something, and returns it.
func (p *place) has(owner string) (got netip.Prefix) {
	p.t.Helper()
	p.await(owner+" has something", func(said map[record.Key]record.Record) bool {
		a, err := record.DecodeAllotment(said[record.AllotmentKey("", "", owner)])
		got = a.Prefix
		return err == nil && got.IsValid()
	})
	return got
}

// refused waits until an owner is told that the store was set back.
func (p *place) refused(owner string) (message string) {
	p.t.Helper()
	p.await(owner+" is told that etcd was set back", func(said map[record.Key]record.Record) bool {
		a, err := record.DecodeAllotment(said[record.AllotmentKey("", "", owner)])
		message = a.Message
		return err == nil && a.Reason == ipam.ReasonStoreSetBack
	})
	return message
}

func await(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(30 * time.Second):
		t.Fatalf("waited in vain until %s", what)
	}
}

// TestTerms: what was given in one term is told in the next; between them there is no Tier.
func TestTerms(t *testing.T) {
	p := newPlace(t)
	p.put(claim("ipclaim/n/a"))
	stop, told := p.lead()
	first := p.has("ipclaim/n/a")
	await(t, "all has been told", told)
	if p.tenure.Tier() == nil {
		t.Error("there is no Tier while it leads")
	}
	stop()
	if p.tenure.Tier() != nil {
		t.Error("there is a Tier, and the term has ended")
	}
	p.renew()
	_, told = p.lead()
	await(t, "all has been told again", told)
	if again := p.has("ipclaim/n/a"); again != first {
		t.Errorf("in the next term it has %s, in the first %s", again, first)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tiers) != 3 || p.tiers[0] == nil || p.tiers[1] != nil || p.tiers[2] == nil {
		t.Errorf("told of Tiers %v, want one, its end, and another", p.tiers)
	}
}

// TestAnotherOpens: a ledger that somebody else opened, who no longer leads, is taken again.
func TestAnotherOpens(t *testing.T) {
	p := newPlace(t)
	p.put(claim("ipclaim/n/a"))
	p.lead()
	first := p.has("ipclaim/n/a")
	cfg := p.cfg.Ledger
	cfg.Witness = ""
	other, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	p.put(claim("ipclaim/n/b"))
	if second := p.has("ipclaim/n/b"); second == first {
		t.Errorf("%s was given twice", second)
	}
}

// TestDeposedUnawares: a process that others have led after, and that has yet to notice, does not run a Tier on what it remembers.
func TestDeposedUnawares(t *testing.T) {
	p := newPlace(t)
	p.put(claim("ipclaim/n/a"))
	if err := p.term.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := p.tenure.Run(t.Context(), tenure.Term{Writer: p.writer, Began: func(tier *ipam.Tier) { t.Errorf("a Tier began: %v", tier) }})
	if !errors.Is(err, store.ErrDeposed) {
		t.Errorf("Run = %v, want %v", err, store.ErrDeposed)
	}
}

// TestSetBack: with an etcd that has lost what was given nothing is allocated, which is told of each claim, until that is
// accepted.
func TestSetBack(t *testing.T) {
	p := newPlace(t)
	p.put(claim("ipclaim/n/a"))
	stop, _ := p.lead()
	first := p.has("ipclaim/n/a")
	stop()
	p.cfg.Ledger.Client = newEtcd(t)
	p.renew()
	if _, err := p.tenure.Repair(t.Context()); !errors.Is(err, tenure.ErrFollows) {
		t.Errorf("repairing without leading: got %v, want %v", err, tenure.ErrFollows)
	}
	_, told := p.lead()
	await(t, "that is told", told)
	if message := p.refused("ipclaim/n/a"); !strings.Contains(message, "--repair") {
		t.Errorf("the message %q does not say what to do", message)
	}
	p.put(claim("ipclaim/n/b"))
	p.refused("ipclaim/n/b")
	p.put(record.Record{Key: claim("ipclaim/n/b").Key})
	p.await("nothing is told of a claim that went", func(said map[record.Key]record.Record) bool { return len(said) == 1 })
	if err := p.tenure.SetBack(); !errors.Is(err, ledger.ErrSetBack) || p.tenure.Tier() != nil {
		t.Errorf("SetBack() = %v, with the Tier %v; want %v and none", err, p.tenure.Tier(), ledger.ErrSetBack)
	}
	p.gauge(1)
	if _, err := p.tenure.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := p.has("ipclaim/n/a"); again.Bits() != first.Bits() {
		t.Errorf("after the repair it has %s, want a prefix as %s", again, first)
	}
	if err := p.tenure.SetBack(); err != nil {
		t.Errorf("SetBack() = %v after the repair", err)
	}
	p.gauge(0)
	if _, err := p.tenure.Repair(t.Context()); !errors.Is(err, tenure.ErrSound) {
		t.Errorf("repairing what is sound: got %v, want %v", err, tenure.ErrSound)
	}
}

// gauge holds the metric that etcd was set back against a value.
func (p *place) gauge(want float64) {
	p.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "meridian_ipam_set_back" {
			if got := f.GetMetric()[0].GetGauge().GetValue(); got != want {
				p.t.Errorf("%s is %v, want %v", f.GetName(), got, want)
			}
			return
		}
	}
	p.t.Errorf("no metric says whether etcd was set back")
}

// TestDamagedWitness: a ledger that cannot be opened is tried again and again, the term goes on, and a repair mends it.
func TestDamagedWitness(t *testing.T) {
	p := newPlace(t)
	if err := os.MkdirAll(filepath.Dir(p.cfg.Ledger.Witness), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.cfg.Ledger.Witness, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.put(claim("ipclaim/n/a"))
	_, told := p.lead()
	if err := tenure.Await(t.Context(), told, time.Millisecond); err != nil {
		t.Errorf("Await = %v, want it to go on after its time", err)
	}
	if p.tenure.Tier() != nil {
		t.Error("there is a Tier on a ledger that cannot be opened")
	}
	for {
		_, err := p.tenure.Repair(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, tenure.ErrFollows) {
			t.Fatal(err)
		}
	}
	p.has("ipclaim/n/a")
}
