package az

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// leader is a zone's sums, over a store with the clusters c1 and c2 and the application n/cart bound to both.
type leader struct {
	*sums
	t      *testing.T
	store  *mem.Store
	mirror *store.Mirror
	writer *store.Writer
	outbox *feed.Outbox
}

func newLeader(t *testing.T) *leader {
	t.Helper()
	backend := mem.New()
	term, err := backend.Campaign(t.Context(), "r0")
	if err != nil {
		t.Fatal(err)
	}
	mirror := store.NewMirror(backend, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mirror.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := mirror.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	l := &leader{t: t, store: backend, mirror: mirror, writer: store.NewWriter(backend, mirror, term), outbox: feed.NewOutbox()}
	l.sums = newSums(mirror, l.outbox, newNews(), (&Zone{mirror: mirror, cfg: Config{Zone: "a"}, log: slog.New(slog.DiscardHandler)}).newLocations(),
		silentFor)
	for _, cluster := range []string{"c1", "c2"} {
		l.write(record.Cluster{Name: cluster, Zone: "a"}.Record(), false)
		l.write(record.Binding{Namespace: "n", Application: "cart", Cluster: cluster, Revision: "v1", Replicas: 2}.Record(), false)
	}
	return l
}

// write writes a record and has the sums follow.
func (l *leader) write(r record.Record, gone bool) {
	l.t.Helper()
	before := l.mirror.Snapshot()
	w := store.Write{Record: r, Delete: gone, Cause: record.CausePerson}
	if _, err := l.writer.Apply(l.t.Context(), []store.Write{w}, nil); err != nil {
		l.t.Fatal(err)
	}
	state, err := l.store.Load(l.t.Context())
	if err == nil {
		err = l.mirror.WaitRevision(l.t.Context(), state.Position.Revision)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	old, _ := before.Get(r.Key)
	now, _ := l.mirror.Snapshot().Get(r.Key)
	l.apply([]store.Change{{Key: r.Key, Old: old, New: now, Cause: w.Cause}})
}

// cart is a word on n/cart with so many ready.
func cart(cluster string, fence int64, ready int32) record.Standing {
	return record.Standing{Cluster: cluster, Epoch: 1, Fence: fence, Replicas: 2, Status: &record.Status{Namespace: "n",
		Application: "cart", Counts: record.Counts{Revision: "v1", Desired: 2, Updated: 2, Ready: ready, Clusters: 1, Converged: 1}}}
}

func well(cluster string, fence int64) record.Standing {
	return record.Standing{Cluster: cluster, Epoch: 1, Fence: fence, Health: &record.Health{Cluster: cluster, Connected: true, Nodes: 3}}
}

// tell has another replica tell.
func (l *leader) tell(source string, all ...record.Standing) {
	l.t.Helper()
	var batch feed.Batch
	for _, st := range all {
		r := st.Record()
		batch.Puts = append(batch.Puts, &r)
	}
	if rejected := l.take(source, batch); len(rejected) > 0 {
		l.t.Fatalf("standings of %s: got %v, want none rejected", source, rejected)
	}
}

func (l *leader) takeBack(source, cluster, app string, cause record.Cause) {
	l.take(source, feed.Batch{Removals: []feed.Removal{{Key: record.StandingKey(cluster, app), Cause: cause}}})
}

// said is how many replicas of n/cart are ready in how many clusters, as the region is told; said is false if it is told
// nothing.
func (l *leader) said() (ready, clusters int32, said bool) {
	l.t.Helper()
	r, ok := l.outbox.Get(record.StatusKey("n", "cart"))
	if !ok {
		return 0, 0, false
	}
	s, err := record.DecodeStatus(*r)
	if err != nil {
		l.t.Fatal(err)
	}
	return s.Ready, s.Clusters, true
}

func (l *leader) want(what string, ready, clusters int32) {
	l.t.Helper()
	if r, c, said := l.said(); !said || r != ready || c != clusters {
		l.t.Errorf("%s: the region is told of %d ready in %d clusters (%v), want %d in %d", what, r, c, said, ready, clusters)
	}
}

func (l *leader) connected(cluster string) bool {
	l.t.Helper()
	r, ok := l.outbox.Get(record.HealthKey(cluster))
	if !ok {
		return false
	}
	h, err := record.DecodeHealth(*r)
	if err != nil {
		l.t.Fatal(err)
	}
	return h.Connected
}

func TestSumsOpen(t *testing.T) {
	l := newLeader(t)
	l.tell("r1", well("c1", 5), well("c2", 6), cart("c1", 5, 2))
	if _, _, said := l.said(); said || l.outbox.Complete() {
		t.Errorf("the region is told of half of cart (%v), or that this is all (%v), want neither", said, l.outbox.Complete())
	}
	l.tell("r1", cart("c2", 6, 2))
	l.want("all clusters have spoken", 4, 2)
	if l.outbox.Complete() {
		t.Error("the region was told that this is all before the replica had told all")
	}
	l.heardAll("r1")
	if !l.outbox.Complete() {
		t.Error("all was told, and the region does not know")
	}
}

// TestSumsOpenAfterRefusals begins a term with clusters whose agents refuse all: how they are is told at once, how their
// applications stand is not known yet.
func TestSumsOpenAfterRefusals(t *testing.T) {
	l := newLeader(t)
	b := newBoard("a", "west", time.Minute)
	for i, cluster := range []string{"c1", "c2"} {
		cart := compile.Application{Current: true,
			Binding: record.Binding{Namespace: "n", Application: "cart", Cluster: cluster, Revision: "v1", Replicas: 2}}
		b.add(cluster, feed.Fence{Epoch: 1, Fence: int64(i + 5)})
		b.expect(cluster, &compile.Shift{Applications: []compile.Application{cart}}, time.Now())
		b.session(cluster, true)
		b.state(cluster, feed.Status{RefusedBy: &feed.Refusal{Kind: feed.RefusedFloor}})
	}
	b.lead(l.sums)
	if !l.connected("c1") || !l.connected("c2") {
		t.Fatal("the region is not told how the clusters are")
	}
	if _, nodes := l.news.take(); len(nodes) != 2 {
		t.Errorf("the scheduler is told the sizes of %d clusters, want both", len(nodes))
	}
	if l.outbox.Complete() {
		t.Error("the region was told that this is all, and nothing of cart")
	}
	b.age(time.Now().Add(time.Hour))
	if !l.outbox.Complete() {
		t.Error("all was told, and the region does not know")
	}
}

// TestSumsOpenAfterReconnecting has a replica that had told all connect again with a cluster that it has come to own.
func TestSumsOpenAfterReconnecting(t *testing.T) {
	l := newLeader(t)
	counted := func(st record.Standing) record.Standing {
		st.Health.Applications = 1
		return st
	}
	l.tell("r1", counted(well("c1", 5)), cart("c1", 5, 2))
	l.heardAll("r1")
	l.attended("r1", false)
	l.attended("r1", true)
	l.tell("r1", counted(well("c2", 6)))
	if l.outbox.Complete() {
		t.Error("the region was told that this is all, and nothing of cart in c2")
	}
	l.tell("r1", cart("c2", 6, 2))
	if !l.outbox.Complete() {
		t.Error("all was told, and the region does not know")
	}
}

// TestSumsHandOver moves c1 from r1 to r2.
func TestSumsHandOver(t *testing.T) {
	l := newLeader(t)
	applied := cart("c1", 5, 2)
	applied.Status.AppliedAt = time.Unix(1000, 0)
	l.tell("r1", well("c1", 5), applied)
	l.hear(well("c2", 6))
	l.hear(cart("c2", 6, 2))
	l.heardAll("r1")
	l.takeBack("r1", "c1", "n/cart", record.CauseScope)
	l.takeBack("r1", "c1", "", record.CauseScope)
	l.want("r1 let go of c1", 4, 2)
	l.tell("r2", well("c1", 9), cart("c1", 9, 2))
	l.want("r2 has spoken", 4, 2)
	if s, _ := l.report.Table().Get("c1", "n/cart"); !s.AppliedAt.Equal(time.Unix(1000, 0)) {
		t.Errorf("r2 found cart applied: it was applied at %v, want when r1 said", s.AppliedAt)
	}
	l.tell("r1", cart("c1", 5, 0))
	l.want("r1's word comes late", 4, 2)
	l.takeBack("r1", "c1", "n/cart", record.CausePerson)
	l.want("r1's withdrawal comes late", 4, 2)
	l.tell("r2", cart("c1", 9, 1))
	l.want("r2 says otherwise", 3, 2)
	l.takeBack("r2", "c1", "n/cart", record.CausePerson)
	l.want("cart is gone from c1", 2, 1)
}

func TestSumsSettled(t *testing.T) {
	l := newLeader(t)
	b := record.Binding{Namespace: "n", Application: "cart", Cluster: "c1", Revision: "v1", Replicas: 2}
	l.tell("r1", cart("c1", 5, 1))
	if l.settled(b) {
		t.Error("settled with one of two ready")
	}
	l.tell("r1", cart("c1", 5, 2))
	if !l.settled(b) {
		t.Error("not settled with two of two ready")
	}
	b.Replicas = 3
	if l.settled(b) {
		t.Error("settled by the word on a binding with fewer replicas")
	}
}

// TestSumsFollowTheZone takes away a binding, and a cluster, and lets words come late.
func TestSumsFollowTheZone(t *testing.T) {
	l := newLeader(t)
	l.tell("r1", cart("c1", 5, 2), well("c1", 5), cart("c2", 6, 2), well("c2", 6))
	l.heardAll("r1")
	l.write(record.Record{Key: record.BindingKey("n", "cart", "c1")}, true)
	l.want("cart is no longer bound to c1", 2, 1)
	l.tell("r1", cart("c1", 5, 2))
	l.takeBack("r1", "c1", "n/cart", record.CauseFound)
	l.want("r1 is late and takes it back, no longer knowing why", 2, 1)
	l.write(record.Record{Key: record.ClusterKey("c2")}, true)
	if _, _, said := l.said(); said || l.connected("c2") {
		t.Errorf("c2 left the zone: the region is told of cart (%v) or that c2 is connected (%v)", said, l.connected("c2"))
	}
	l.tell("r1", well("c2", 6))
	l.takeBack("r1", "c2", "", record.CauseScope)
	if l.connected("c2") {
		t.Error("r1 is late and takes it back: the region is told that c2 is connected")
	}
}

// TestSumsSilence loses r1 while it owns c1 and has lost c2 to r2.
func TestSumsSilence(t *testing.T) {
	l := newLeader(t)
	l.attended("r1", true)
	l.tell("r1", well("c1", 5), well("c2", 6))
	l.tell("r2", well("c2", 9))
	l.attended("r1", false)
	_, next := l.silence(time.Now())
	if next.IsZero() || !l.connected("c1") {
		t.Fatalf("r1 has just gone: c1 is connected: %v, and looked at again at %v; want true, and a time", l.connected("c1"), next)
	}
	ledger := l.ledger("r1")
	gone, again := l.silence(next)
	if !again.IsZero() || l.connected("c1") || !l.connected("c2") {
		t.Errorf("r1 is gone: c1, c2 are connected: %v, %v; want false, true", l.connected("c1"), l.connected("c2"))
	}
	if !slices.Equal(gone, []string{"r1"}) || len(l.witnesses) > 0 {
		t.Errorf("r1 is gone: to forget are %v, and %d replicas are kept; want r1, none", gone, len(l.witnesses))
	}
	if l.ledger("r1") == ledger {
		t.Error("r1 is back, and would not be asked for all again")
	}
	l.attended("r1", true)
	if !l.connected("c1") {
		t.Error("r1 is back: c1 is not connected")
	}
}

// TestSumsSilenceOfLocations shows that a replica which comes back after its clusters were silent has told all of where
// applications are only when it has told it again.
func TestSumsSilenceOfLocations(t *testing.T) {
	l := newLeader(t)
	all := well("c1", 5)
	all.Told, all.Locations = true, 1
	where := record.Standing{Cluster: "c1", Epoch: 1, Fence: 5, Location: &record.Location{Namespace: "n", Application: "cart", Cluster: "c1", Zone: "a"}}
	l.attended("r1", true)
	l.tell("r1", all, where)
	if !l.clusters["c1"].whole {
		t.Fatal("r1 has told all, and more is waited for")
	}
	l.attended("r1", false)
	_, next := l.silence(time.Now())
	l.silence(next)
	l.attended("r1", true)
	if l.clusters["c1"].whole {
		t.Error("r1 is back, and what it told once counts as all")
	}
	l.tell("r1", all)
	if l.clusters["c1"].whole {
		t.Error("r1 has told how many there are, and what it told once counts as all")
	}
	where.Location.Application = "shop"
	l.tell("r1", where)
	if !l.clusters["c1"].whole {
		t.Error("r1 has told all again, and what it no longer tells is waited for")
	}
}

// TestSumsAssumed shows that what a new owner assumes of an agent that is silent stands only where nothing better is known.
func TestSumsAssumed(t *testing.T) {
	l := newLeader(t)
	assumed := func(cluster string) record.Standing {
		st := cart(cluster, 9, 0)
		st.Assumed = true
		return st
	}
	l.tell("r1", well("c1", 5), cart("c1", 5, 2))
	l.tell("r2", assumed("c1"), assumed("c2"))
	l.want("c1 was known, c2 was not", 2, 2)
	l.tell("r2", cart("c1", 9, 1))
	l.want("the agent of c1 has told its new owner", 1, 2)
}
