package answer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office keeps one place's addresses in a test.
type office struct {
	tier    *ipam.Tier
	setBack error
	mends   int
}

func (o *office) Tier() *ipam.Tier { return o.tier }
func (o *office) SetBack() error   { return o.setBack }
func (o *office) Repair(context.Context) (ledger.Report, error) {
	o.mends++
	return ledger.Report{Entries: 7, Position: store.Position{Revision: 9}, Findings: []ledger.Finding{{Fault: ledger.Overlap, Detail: "two"}}}, nil
}

// startGlobal runs Global's tier on a ledger in etcd.
func startGlobal(t *testing.T) (*ipam.Tier, *store.Writer) {
	t.Helper()
	tier, writer, run := newGlobal(t)
	run()
	return tier, writer
}

// newGlobal makes Global's tier, and returns what runs it until the test ends.
func newGlobal(t *testing.T) (tier *ipam.Tier, writer *store.Writer, run func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	server, err := etcd.Embed(ctx, etcd.EmbedConfig{Dir: t.TempDir(), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(etcd.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	l, err := ledger.Open(ctx, ledger.Config{Client: s.Client(), Prefix: s.Prefix(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	backend := mem.New()
	mirror := store.NewMirror(backend, log)
	term, err := backend.Campaign(ctx, "p")
	if err != nil {
		t.Fatal(err)
	}
	writer = store.NewWriter(backend, mirror, term)
	tier = ipam.New(ipam.Config{Mirror: mirror, Writer: writer, Ledger: l, Log: log, Tell: func(record.Record) {}, Untell: func(record.Key, record.Cause) {}})
	var running sync.WaitGroup
	for _, part := range []func(context.Context) error{mirror.Run, l.Run} {
		running.Go(func() { _ = part(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := errors.Join(l.Close(), s.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := mirror.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return tier, writer, func() { running.Go(func() { _ = tier.Run(ctx) }) }
}

// TestLedger: nobody takes anything of a ledger before its tier is ready, since children may have been told what it has forgotten.
func TestLedger(t *testing.T) {
	tier, _, run := newGlobal(t)
	for name, o := range map[string]Office{"no office": nil, "not open": &office{}, "not ready": &office{tier: tier}} {
		if Ledger(o) != nil {
			t.Errorf("%s: got a ledger, want none", name)
		}
	}
	run()
	<-tier.Ready()
	if Ledger(&office{tier: tier}) != tier.Ledger() {
		t.Error("ready: got no ledger, want the tier's")
	}
}

func put(t *testing.T, w *store.Writer, records ...record.Record) {
	t.Helper()
	var writes []store.Write
	for _, r := range records {
		writes = append(writes, store.Write{Record: r})
	}
	if _, err := w.Apply(t.Context(), writes, nil); err != nil {
		t.Fatal(err)
	}
}

// asker asks a place and fails the test where that has no answer.
func asker(t *testing.T, o Office, at question.Path, kind string, request any) func() question.Node {
	return func() question.Node {
		t.Helper()
		payload, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		node := question.Node{Tier: at.Tier()}
		if _, err := At(t.Context(), o, at, kind, payload, &node); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		return node
	}
}

func TestAnswers(t *testing.T) {
	tier, writer := startGlobal(t)
	o := &office{tier: tier}
	tier.Settled()
	put(t, writer, record.Pool{Name: "pods", Purpose: record.PurposePod, Ranges: []record.Range{{Prefix: netip.MustParsePrefix("10.0.0.0/16")}},
		RegionLength: 20, ClaimLength: 24, LowWater: 20, HighWater: 60, Quarantine: time.Hour}.Record(),
		record.Claim{Owner: "ipclaim/shop/dns", Pool: "pods", Tenant: "retail"}.Record())
	tier.Demand("west", record.Demand{Pool: "pods", Region: "west", Want: 1})

	show := asker(t, o, question.Path{}, question.KindIPAMShow, question.IPAMShowRequest{})
	var shown question.Node
	tiertest.Await(t, "what was claimed and delegated is shown", func() bool {
		shown = show()
		return len(shown.Space.Pools) == 1 && len(shown.Space.Pools[0].Delegations) == 1 && shown.Space.Pools[0].Taken == 4096+256
	})
	pool := shown.Space.Pools[0]
	if pool.Pool != "pods" || pool.Addresses != 65536 || pool.Largest != 17 || pool.LowWater != 20 || len(pool.Blocks) != 1 || shown.Space.Epoch == "" {
		t.Errorf("show: got %+v", shown.Space)
	}
	delegated := pool.Delegations[0]
	if other := asker(t, o, question.Path{}, question.KindIPAMShow, question.IPAMShowRequest{Pool: "x"})(); len(other.Space.Pools) != 0 {
		t.Errorf("show of another pool: got %+v", other.Space.Pools)
	}
	t.Run("find", func(t *testing.T) {
		address := netip.PrefixFrom(delegated.Prefix.Addr().Next(), 32)
		f := asker(t, o, question.Path{}, question.KindIPAMFind, question.IPAMFindRequest{Prefix: address})().Space.Found
		if len(f.Blocks) != 1 || f.Blocks[0].Prefix != netip.MustParsePrefix("10.0.0.0/16") || len(f.Entries) != 1 || f.Entries[0].Owner != delegated.Owner {
			t.Errorf("got %+v, want the range and %s", f, delegated.Owner)
		}
		f = asker(t, o, question.Path{}, question.KindIPAMFind, question.IPAMFindRequest{Prefix: netip.MustParsePrefix("192.0.2.0/24")})().Space.Found
		if f != nil {
			t.Errorf("an address of no pool: got %+v", f)
		}
	})
	t.Run("export", func(t *testing.T) {
		page := asker(t, o, question.Path{}, question.KindIPAMExport, question.IPAMExportRequest{})().Space.Page
		owners := map[string]question.SpaceEntry{}
		for _, e := range page.Entries {
			owners[e.Owner] = e
		}
		if e := owners["ipclaim/shop/dns"]; len(owners) != 2 || page.Next != "" || e.Tenant != "retail" || e.Prefix.Bits() != 24 {
			t.Errorf("got %+v", page)
		}
	})
	t.Run("check", func(t *testing.T) { testCheck(t, o) })
	t.Run("reclaim", func(t *testing.T) {
		n := asker(t, o, question.Path{}, question.KindIPAMReclaim, question.IPAMReclaimRequest{Target: question.Path{Region: "west"}})()
		want := fmt.Sprintf("%s of pool pods is taken back from region/west", delegated.Prefix)
		if !slices.Equal(n.Confirmed, []string{want}) {
			t.Errorf("got %q, want %q", n.Confirmed, want)
		}
		_, err := At(t.Context(), o, question.Path{}, question.KindIPAMReclaim, []byte(`{"target":"region/west"}`), &question.Node{})
		if !errors.Is(err, question.ErrInvalid) || !strings.Contains(err.Error(), "nothing is delegated to west") {
			t.Errorf("again: got %v", err)
		}
		f := asker(t, o, question.Path{}, question.KindIPAMFind, question.IPAMFindRequest{Prefix: delegated.Prefix})().Space.Found
		if len(f.Entries) != 1 || f.Entries[0].Until.IsZero() {
			t.Errorf("what was reclaimed: got %+v, want it in quarantine", f.Entries)
		}
	})
}

// testCheck audits a place that is sound, then one where something leaked, and mends that.
func testCheck(t *testing.T, o Office) {
	check := asker(t, o, question.Path{}, question.KindIPAMCheck, question.IPAMCheckRequest{})
	if c := check().Space.Check; c.Total != 0 || len(c.Findings) != 0 || c.Entries != 2 || c.Blocks != 1 {
		t.Errorf("sound: got %+v", c)
	}
	l := o.Tier().Ledger()
	if _, err := l.Allocate(t.Context(), ledger.Request{Owner: "ipclaim/shop/ghost", Pool: "pods", Length: 32}); err != nil {
		t.Fatal(err)
	}
	c := check().Space.Check
	if c.Total != 1 || c.Findings[0].Kind != ipam.FoundEntryWithoutClaim || c.Findings[0].Owner != "ipclaim/shop/ghost" || !c.Findings[0].Mendable {
		t.Errorf("with a leak: got %+v", c)
	}
	if _, err := l.Get(t.Context(), "ipclaim/shop/ghost"); err != nil {
		t.Errorf("a check alone changed something: %v", err)
	}
	c = asker(t, o, question.Path{}, question.KindIPAMCheck, question.IPAMCheckRequest{Repair: true})().Space.Check
	if c.Total != 0 || len(c.Repaired) != 1 || !strings.Contains(c.Repaired[0], "ipclaim/shop/ghost") {
		t.Errorf("repair: got %+v", c)
	}
}

// TestUnanswered says why a place does not answer, and has those below it asked all the same.
func TestUnanswered(t *testing.T) {
	back := &ledger.SetBack{}
	for _, tt := range []struct {
		name   string
		office Office
		want   string
	}{
		{"keeps none", nil, "its store is in memory"},
		{"does not lead", &office{}, "does not lead"},
		{"set back", &office{setBack: back}, "StoreSetBack: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for kind, payload := range map[string]string{question.KindIPAMShow: `{}`, question.KindIPAMFind: `{"prefix":"10.0.0.1/32"}`,
				question.KindIPAMExport: `{"target":"region/west"}`, question.KindIPAMReclaim: `{"target":"region/west/zone/a"}`} {
				var node question.Node
				below, err := At(t.Context(), tt.office, question.Path{Region: "west"}, kind, []byte(payload), &node)
				if err != nil || !strings.Contains(node.Unanswered, tt.want) {
					t.Errorf("%s: got %q, %v, want %q", kind, node.Unanswered, err, tt.want)
				}
				if all := kind == question.KindIPAMShow || kind == question.KindIPAMFind; below.All != all || below.Name != "" {
					t.Errorf("%s: got %+v to be asked", kind, below)
				}
			}
		})
	}
}

// TestSetBack has a ledger that was set back checked, and accepted only where a repair is asked for.
func TestSetBack(t *testing.T) {
	o := &office{setBack: &ledger.SetBack{}}
	c := asker(t, o, question.Path{}, question.KindIPAMCheck, question.IPAMCheckRequest{})().Space.Check
	if c.Total != 1 || c.Findings[0].Kind != "StoreSetBack" || !c.Findings[0].Mendable || o.mends != 0 {
		t.Errorf("check: got %+v, %d repairs", c, o.mends)
	}
	c = asker(t, o, question.Path{}, question.KindIPAMCheck, question.IPAMCheckRequest{Repair: true})().Space.Check
	if c.Total != 1 || c.Findings[0].Kind != "Overlap" || len(c.Repaired) != 1 || c.Entries != 7 || o.mends != 1 {
		t.Errorf("repair: got %+v, %d repairs", c, o.mends)
	}
}

// TestRoute has questions go on to where they are answered, and nowhere else.
func TestRoute(t *testing.T) {
	global, west, a := question.Path{}, question.Path{Region: "west"}, question.Path{Region: "west", Zone: "a"}
	for _, tt := range []struct {
		kind    string
		at      question.Path
		target  string
		want    Below
		here    bool
		nowhere bool
	}{
		{kind: question.KindIPAMCheck, at: global, target: "global", want: Below{All: true}, here: true},
		{kind: question.KindIPAMCheck, at: global, target: "region/west/zone/a", want: Below{Name: "west"}},
		{kind: question.KindIPAMCheck, at: west, target: "region/west/zone/a", want: Below{Name: "a"}},
		{kind: question.KindIPAMCheck, at: west, target: "region/west", want: Below{All: true}, here: true},
		{kind: question.KindIPAMCheck, at: a, target: "region/west", want: Below{All: true}, here: true},
		{kind: question.KindIPAMCheck, at: west, target: "region/east", nowhere: true},
		{kind: question.KindIPAMExport, at: west, target: "region/west/zone/a", want: Below{Name: "a"}},
		{kind: question.KindIPAMExport, at: a, target: "region/west/zone/a", here: true},
		{kind: question.KindIPAMExport, at: a, target: "region/west", nowhere: true},
		{kind: question.KindIPAMReclaim, at: global, target: "region/west", here: true},
		{kind: question.KindIPAMReclaim, at: global, target: "region/west/zone/a", want: Below{Name: "west"}},
		{kind: question.KindIPAMReclaim, at: west, target: "region/west/zone/a", here: true},
		{kind: question.KindIPAMReclaim, at: a, target: "region/west/zone/a", nowhere: true},
	} {
		t.Run(fmt.Sprintf("%s of %s at %s", tt.kind, tt.target, tt.at), func(t *testing.T) {
			var node question.Node
			below, err := At(t.Context(), &office{}, tt.at, tt.kind, []byte(`{"target":"`+tt.target+`"}`), &node)
			if (err != nil) != tt.nowhere || below != tt.want || (node.Unanswered != "") != tt.here {
				t.Errorf("got %+v, %v, here %q, want %+v", below, err, node.Unanswered, tt.want)
			}
		})
	}
	names := []string{"a", "b"}
	if got := (Below{Name: "b"}).Of(names); !slices.Equal(got, []string{"b"}) {
		t.Errorf("one of them: got %v", got)
	}
	if got := (Below{All: true}).Of(names); !slices.Equal(got, names) {
		t.Errorf("all: got %v", got)
	}
	if got := (Below{}).Of(names); len(got) != 0 {
		t.Errorf("none: got %v", got)
	}
}
