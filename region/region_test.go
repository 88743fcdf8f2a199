package region_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/region"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tier is a region under test, between a parent and its zones.
type tier struct {
	t      *testing.T
	parent *tiertest.Parent
	store  *mem.Store
	ledger ledger.Config // zero: it keeps no addresses
	addr   string
	audit  audittest.Recorder
	zones  map[string]*tiertest.Child
	stop   func()
}

// newTier starts region west and zones a and b, which have a cluster each.
func newTier(t *testing.T) *tier {
	t.Helper()
	return newTierOn(t, ledger.Config{})
}

// newTierOn starts them with the region's addresses in a ledger.
func newTierOn(t *testing.T, l ledger.Config) *tier {
	t.Helper()
	r := &tier{t: t, parent: tiertest.NewParent(t, "global"), store: mem.New(), ledger: l, addr: "127.0.0.1:0", zones: map[string]*tiertest.Child{}}
	for _, zone := range []string{"a", "b"} {
		r.parent.Put(record.Cluster{Name: zone + "-1", Region: "west", Zone: zone}.Record())
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	for _, zone := range []string{"a", "b"} {
		r.zones[zone] = tiertest.NewChild(t, "zone", "region/west/zone/"+zone, r.addr)
		r.zones[zone].Start()
	}
	return r
}

func (r *tier) start() {
	r.t.Helper()
	listener, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	cfg := region.Config{ID: "region-0", Region: "west", Global: []string{r.parent.Address}, Settle: 300 * time.Millisecond}
	cfg.Default()
	tier := region.New(cfg, region.Deps{Store: r.store, Listener: listener, Log: slog.New(slog.DiscardHandler),
		Audit: r.audit.Log(), Identity: tiertest.Source(r.t, "region/west"), Ledger: r.ledger})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tier.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("running the region: %v", err)
		}
		r.stop = func() {}
	}
}

func (r *tier) position() int64 {
	state, err := r.store.Load(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return state.Position.Revision
}

func revision(app string) record.Record {
	return record.Revision{Namespace: "n", Application: app, Environment: "prod", Spec: []byte(`{}`)}.Record()
}

func assignment(app, zone string, dependencies ...string) record.Record {
	return record.Assignment{Namespace: "n", Application: app, Zone: zone, Region: "west",
		Revision: revision(app).Version.String(), Replicas: 1, Dependencies: dependencies}.Record()
}

func holds(keys ...record.Key) func(map[record.Key]record.Record) bool {
	return func(held map[record.Key]record.Record) bool {
		for _, key := range keys {
			if _, ok := held[key]; !ok {
				return false
			}
		}
		return len(held) == len(keys)
	}
}

// report has a zone say how an application does.
func (r *tier) report(zone, app string, counts record.Counts, problems ...record.Problem) {
	s := record.Status{Namespace: "n", Application: app, Counts: counts, Problems: problems}.Record()
	r.zones[zone].Outbox.Edit(feed.Put(&s))
}

// TestRegionScopes shows that each zone gets what it needs, no more, and that it goes again.
func TestRegionScopes(t *testing.T) {
	r := newTier(t)
	service := record.Service{Namespace: "n", Application: "db"}.Record()
	unknown := record.New(record.Key{Kind: "tomorrow", Name: "x"}, []byte("content of a later release"))
	r.parent.Put(revision("cart"), service, assignment("cart", "a", "n/db"), unknown)
	a, b := record.ClusterKey("a-1"), record.ClusterKey("b-1")
	r.zones["a"].Await(t, "zone a has cart", holds(a, unknown.Key, revision("cart").Key, service.Key, assignment("cart", "a").Key))
	r.zones["b"].Await(t, "zone b has what all have", holds(b, unknown.Key))
	r.parent.Edit(feed.Remove(assignment("cart", "a").Key, record.CausePerson), feed.Remove(revision("cart").Key, record.CausePerson))
	r.zones["a"].Await(t, "zone a is rid of cart", holds(a, unknown.Key))

	broken := record.New(record.AssignmentKey("n", "broken", "a"), []byte{0xff})
	r.parent.Put(broken, revision("next"), assignment("next", "b"))
	r.parent.AwaitOutcome(t, broken.Key, "the undecodable record is rejected", func(o feed.Outcome) bool { return o.Rejection != nil })
	r.zones["b"].Await(t, "zone b has next", holds(b, unknown.Key, revision("next").Key, assignment("next", "b").Key))
}

// TestRegionSums shows the sums of what zones report.
func TestRegionSums(t *testing.T) {
	r := newTier(t)
	r.parent.Put(revision("cart"), assignment("cart", "a"), assignment("cart", "b"))
	at := time.Unix(1_700_000_000, 0)
	counts := func(ready int32) record.Counts {
		c := record.Counts{Revision: "r", Desired: 2, Updated: 2, Ready: ready, Clusters: 1, Converged: 1, AppliedAt: at}
		if ready == 2 {
			c.ReadyAt = at
		}
		return c
	}
	r.report("a", "cart", counts(2))
	r.report("b", "cart", counts(1), record.Problem{Cluster: "b-1", Message: "slow"})
	s := r.parent.AwaitStatus(t, "n/cart", "both zones are summed", func(s record.Status) bool { return s.Ready == 3 })
	if len(s.Lines) != 2 || s.Lines[1].Zone != "b" || s.Lines[1].Region != "west" || s.Lines[1].Ready != 1 || s.Desired != 4 ||
		!s.ReadyAt.IsZero() || !s.AppliedAt.Equal(at) || len(s.Problems) != 1 || s.Problems[0].Zone != "b" {
		t.Errorf("status: got %+v", s)
	}
	health := record.Health{Cluster: "b-1", Connected: true, Nodes: 3}.Record()
	r.zones["b"].Outbox.Edit(feed.Put(&health))
	r.parent.Await(t, "the health of b-1 is reported", func(reports map[record.Key]record.Record) bool {
		h, err := record.DecodeHealth(reports[health.Key])
		return err == nil && h.Connected && h.Zone == "b" && h.Region == "west"
	})
	r.zones["a"].Stop()
	r.report("b", "cart", counts(2))
	r.parent.AwaitStatus(t, "n/cart", "what zone a said last still counts", func(s record.Status) bool { return s.Ready == 4 && !s.ReadyAt.IsZero() })
	gone := feed.Remove(record.StatusKey("n", "cart"), record.CausePerson)
	r.zones["b"].Outbox.Edit(gone)
	r.parent.AwaitStatus(t, "n/cart", "zone b no longer counts", func(s record.Status) bool { return len(s.Lines) == 1 })
}

// TestRegionAlone shows that a region serves its zones with Global away, after its own restart too, and that what comes
// back is neither written nor sent again.
func TestRegionAlone(t *testing.T) {
	r := newTier(t)
	var records []record.Record
	for i := range 50 {
		app := fmt.Sprint("app-", i)
		records = append(records, revision(app), assignment(app, "a"))
	}
	r.parent.Put(records...)
	full := func(held map[record.Key]record.Record) bool { return len(held) == 101 }
	r.zones["a"].Await(t, "zone a has all", full)
	r.parent.AwaitInSync(t)
	r.parent.Stop()
	position, writes := r.position(), r.zones["a"].Writes()
	r.stop()
	r.start()
	newcomer := tiertest.NewChild(t, "zone", "region/west/zone/b", r.addr)
	r.zones["b"].Stop()
	newcomer.Start()
	newcomer.Await(t, "zone b, emptied, is served", holds(record.ClusterKey("b-1")))
	tiertest.Await(t, "zone a is back", r.zones["a"].Connected)
	r.parent.Start(t)
	r.parent.AwaitInSync(t)
	if got := r.position(); got != position {
		t.Errorf("the store is at revision %d, want %d", got, position)
	}
	if got := r.zones["a"].Writes(); got != writes {
		t.Errorf("zone a was sent %d records, want %d", got, writes)
	}
	r.parent.Put(revision("late"), assignment("late", "b"))
	newcomer.Await(t, "zone b has late", holds(record.ClusterKey("b-1"), revision("late").Key, assignment("late", "b").Key))
}

// TestRegionAnswers asks for one application, with a zone that does not answer.
func TestRegionAnswers(t *testing.T) {
	r := newTier(t)
	r.zones["a"].Answers(func(q feed.Question) ([]byte, error) {
		return question.Encode(question.Node{Tier: question.TierZone, Name: "a", Application: &question.Application{Ready: 5}})
	})
	r.parent.Put(revision("cart"), assignment("cart", "a"), assignment("cart", "b"))
	r.zones["a"].Await(t, "zone a has cart", func(held map[record.Key]record.Record) bool { return len(held) == 3 })
	r.zones["b"].Await(t, "zone b has cart", func(held map[record.Key]record.Record) bool { return len(held) == 3 })
	r.zones["b"].Stop()
	node := ask(t, r.parent, question.KindApplication, question.ApplicationRequest{Namespace: "n", Name: "cart"})
	if node.Application == nil || node.Application.Revision != revision("cart").Version.String() || node.Application.ReceivedAt.IsZero() {
		t.Fatalf("the region answers %+v", node.Application)
	}
	if len(node.Children) != 2 || node.Children[0].Application == nil || node.Children[0].Application.Ready != 5 || node.Children[1].Unanswered == "" {
		t.Errorf("its zones answer %+v, want zone a's word and zone b marked", node.Children)
	}
	overview := ask(t, r.parent, question.KindOverview, question.OverviewRequest{}).Overview
	if overview.Applications != 1 || overview.Clusters != 2 || overview.Leader != "region-0" || len(overview.Sessions) != 2 || !overview.Parent.Connected {
		t.Errorf("overview: got %+v", overview)
	}
	payload, _ := json.Marshal(question.ConfirmRequest{What: question.WhatRemovals, Target: question.Path{Region: "west"}})
	if _, err := r.parent.Ask(t, question.KindConfirm, payload); err == nil || !strings.Contains(err.Error(), "nothing waits") {
		t.Errorf("confirming nothing: got %v", err)
	}
}

// TestRegionGuards loses most of what Global sent, with nobody to have asked for it: a person decides.
func TestRegionGuards(t *testing.T) {
	r := newTier(t)
	var records []record.Record
	for i := range 50 {
		app := fmt.Sprint("app-", i)
		records = append(records, revision(app), assignment(app, "a"))
	}
	r.parent.Put(records...)
	r.zones["a"].Await(t, "zone a has all", func(held map[record.Key]record.Record) bool { return len(held) == 101 })
	r.parent.AwaitInSync(t) // what is not acknowledged yet does not count as held
	var gone []feed.Edit
	for _, rec := range records {
		gone = append(gone, feed.Remove(rec.Key, record.CauseScope))
	}
	r.parent.Edit(gone...)
	tiertest.Await(t, "removals are held back", func() bool {
		held := ask(t, r.parent, question.KindOverview, question.OverviewRequest{}).Overview.Held
		return held != nil && held.Total > 50
	})
	if n := len(r.zones["a"].Held()); n < 101*6/10 {
		t.Errorf("zone a holds %d records, want most of them", n)
	}
	node := ask(t, r.parent, question.KindConfirm, question.ConfirmRequest{What: question.WhatRemovals, Target: question.Path{Region: "west"}})
	if len(node.Confirmed) != 1 {
		t.Errorf("confirmed: got %q", node.Confirmed)
	}
	tiertest.Await(t, "the region has let go", func() bool {
		state, err := r.store.Load(t.Context())
		return err == nil && len(state.Entries) == 2
	})
}

func ask(t *testing.T, p *tiertest.Parent, kind string, request any) question.Node {
	t.Helper()
	payload, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.Ask(t, kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	node, err := question.Decode[question.Node](answer)
	if err != nil {
		t.Fatal(err)
	}
	return node
}
