package intake_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a store with a term and a running mirror.
type fixture struct {
	ctx    context.Context
	store  *mem.Store
	mirror *store.Mirror
	writer *store.Writer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	f := &fixture{ctx: ctx, store: mem.New()}
	term, err := f.store.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	f.mirror = store.NewMirror(f.store, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.mirror.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	if err := f.mirror.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	f.writer = store.NewWriter(f.store, f.mirror, term)
	return f
}

func (f *fixture) intake(t *testing.T, rules intake.Rules) *intake.Intake {
	t.Helper()
	in, err := intake.New(f.mirror, f.writer, rules, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (f *fixture) apply(t *testing.T, in *intake.Intake, revision int64, puts []record.Record, removals ...feed.Removal) []feed.Rejection {
	t.Helper()
	b := feed.Batch{Removals: removals, State: feed.State{Floor: feed.Position{Epoch: 7, Revision: revision}}}
	for i := range puts {
		b.Puts = append(b.Puts, &puts[i])
	}
	rejected, err := in.Apply(f.ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	return rejected
}

func (f *fixture) keys() []string {
	var out []string
	for e := range f.mirror.Snapshot().Entries() {
		out = append(out, e.Key.String())
	}
	return out
}

var (
	revision   = record.Revision{Namespace: "n", Application: "a", Spec: []byte("{}")}.Record()
	assignment = record.Assignment{Namespace: "n", Application: "a", Zone: "z", Revision: revision.Version.String()}.Record()
	binding    = record.Binding{Namespace: "n", Application: "a", Cluster: "c", Revision: revision.Version.String()}.Record()
	unknown    = record.New(record.Key{Kind: "tomorrow", Name: "x"}, []byte("y"))
)

func TestApply(t *testing.T) {
	f := newFixture(t)
	in := f.intake(t, intake.Rules{})
	broken := record.New(record.AssignmentKey("n", "b", "z"), []byte{0xff})
	rejected := f.apply(t, in, 5, []record.Record{broken, revision, binding, unknown})
	if len(rejected) != 2 || rejected[0].Key != broken.Key || rejected[1].Key != binding.Key || rejected[0].Reason != intake.ReasonInvalidRecord {
		t.Errorf("rejected: got %v, want the undecodable record and the one that does not come from above", rejected)
	}
	if got, want := f.keys(), []string{revision.Key.String(), unknown.Key.String()}; !slices.Equal(got, want) {
		t.Errorf("the store holds %q, want %q", got, want)
	}
	before := f.mirror.Snapshot().Position()
	f.apply(t, in, 5, []record.Record{revision, unknown})
	if got := f.mirror.Snapshot().Position(); got != before {
		t.Errorf("a batch that changes nothing moved the store from %v to %v", before, got)
	}
}

// TestLedgerAfterRestart shows that the next term's ledger is what the store holds of the parent's records, at the floor.
func TestLedgerAfterRestart(t *testing.T) {
	f := newFixture(t)
	f.apply(t, f.intake(t, intake.Rules{}), 5, []record.Record{revision, unknown})
	if _, err := f.writer.Apply(f.ctx, []store.Write{{Record: binding}}, nil); err != nil {
		t.Fatal(err)
	}
	standing := f.intake(t, intake.Rules{}).Ledger().Standing()
	if standing.Keys != 2 || standing.Floor != (feed.Position{Epoch: 7, Revision: 5}) {
		t.Errorf("the ledger: got %+v, want 2 keys at 7/5", standing)
	}
	if _, err := f.writer.Apply(f.ctx, nil, map[string][]byte{intake.MetaFloor: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if _, err := intake.New(f.mirror, f.writer, intake.Rules{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a floor that cannot be read is taken for none")
	}
}

// TestOwn shows that what came from below stays: where something runs in a cluster of the tier's own neither comes nor goes
// by the parent's word, and counts as none of what is held of the parent.
func TestOwn(t *testing.T) {
	f := newFixture(t)
	at := func(cluster string, sequence uint64) record.Record {
		return record.Location{Namespace: "n", Application: "a", Cluster: cluster, Epoch: 1, Sequence: sequence}.Record()
	}
	mine, theirs := at("c", 5), at("elsewhere", 5)
	own := []store.Write{{Record: record.Cluster{Name: "c"}.Record()}, {Record: mine}, {Record: record.Place{Cluster: "c"}.Record()}}
	if _, err := f.writer.Apply(f.ctx, own, nil); err != nil {
		t.Fatal(err)
	}
	in := f.intake(t, intake.Rules{})
	if got := in.Ledger().Standing().Keys; got != 1 {
		t.Errorf("%d keys count as held of the parent, want the cluster alone", got)
	}
	rejected := f.apply(t, in, 5, []record.Record{at("c", 9), theirs, record.Place{Cluster: "elsewhere"}.Record()})
	if len(rejected) != 1 || rejected[0].Key != mine.Key {
		t.Errorf("rejected: got %v, want what is said of the tier's own cluster", rejected)
	}
	rejected = f.apply(t, in, 6, []record.Record{at("elsewhere", 4)}, feed.Removal{Key: mine.Key})
	if len(rejected) != 1 || rejected[0].Reason != intake.ReasonLate {
		t.Errorf("rejected: got %v, want the late copy", rejected)
	}
	for _, want := range []record.Record{mine, theirs} {
		if e, ok := f.mirror.Snapshot().Get(want.Key); !ok || e.Version != want.Version {
			t.Errorf("%s is not what it was", want.Key)
		}
	}
	f.apply(t, in, 7, nil, feed.Removal{Key: theirs.Key})
	if _, ok := f.mirror.Snapshot().Get(theirs.Key); ok {
		t.Errorf("%s is still there", theirs.Key)
	}
}

// TestSpace shows which records of address space a region takes: what it delegates to its zones itself, and what goes up, the
// parent neither puts nor removes.
func TestSpace(t *testing.T) {
	f := newFixture(t)
	prefix := func(zone string) record.Record {
		return record.Prefix{Pool: "p", Region: "r", Zone: zone, Prefix: netip.MustParsePrefix("10.0.0.0/16")}.Record()
	}
	if _, err := f.writer.Apply(f.ctx, []store.Write{{Record: prefix("z")}}, nil); err != nil {
		t.Fatal(err)
	}
	in := f.intake(t, intake.Rules{Decides: func(key record.Key) bool {
		_, zone := key.Place()
		return key.Kind == record.KindPrefix && zone != ""
	}})
	if got := in.Ledger().Standing().Keys; got != 0 {
		t.Errorf("%d keys count as held of the parent, want none", got)
	}
	pool, claim := record.Pool{Name: "p"}.Record(), record.Claim{Owner: "o", Region: "r", Zone: "z"}.Record()
	foreign := []record.Record{record.Allotment{Owner: "o", Region: "r", Zone: "z"}.Record(), record.Demand{Pool: "p", Region: "r"}.Record(),
		record.Prefix{Pool: "p", Region: "r", Zone: "z", Prefix: netip.MustParsePrefix("10.0.0.0/16"), Draining: true}.Record()}
	rejected := f.apply(t, in, 5, append([]record.Record{pool, claim, prefix("")}, foreign...), feed.Removal{Key: prefix("z").Key})
	if len(rejected) != len(foreign) {
		t.Errorf("rejected: got %v, want the %d that do not come from above", rejected, len(foreign))
	}
	want := []string{claim.Key.String(), pool.Key.String(), prefix("").Key.String(), prefix("z").Key.String()}
	if got := f.keys(); !slices.Equal(got, want) {
		t.Errorf("the store holds %q, want %q", got, want)
	}
	if e, _ := f.mirror.Snapshot().Get(prefix("z").Key); e.Version != prefix("z").Version {
		t.Error("the parent has changed what the region delegated to its zone")
	}
}

// TestRules shows what goes with a removal, and what stays until it is swept.
func TestRules(t *testing.T) {
	f := newFixture(t)
	needed := true
	in := f.intake(t, intake.Rules{
		Follow: func(_ *store.Snapshot, r feed.Removal) []store.Write {
			if r.Key != assignment.Key {
				return nil
			}
			return []store.Write{{Record: record.Record{Key: binding.Key}, Delete: true, Cause: r.Cause}}
		},
		Needed: func(_ *store.Snapshot, _ record.Key, going map[record.Key]struct{}) bool {
			_, goes := going[binding.Key]
			return needed && !goes
		},
	})
	put := func() {
		f.apply(t, in, 1, []record.Record{revision, assignment})
		if _, err := f.writer.Apply(f.ctx, []store.Write{{Record: binding}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	put()
	f.apply(t, in, 2, nil, feed.Removal{Key: revision.Key, Cause: record.CausePerson})
	if !in.Retained(revision.Key) || len(f.keys()) != 3 {
		t.Fatalf("a revision that is needed is gone: the store holds %q", f.keys())
	}
	if err := in.Sweep(f.ctx, []record.Key{revision.Key, assignment.Key}); err != nil {
		t.Fatal(err)
	}
	if got, want := f.keys(), []string{assignment.Key.String(), binding.Key.String()}; !slices.Equal(got, want) {
		t.Errorf("after the sweep the store holds %q, want %q: the revision alone is gone", got, want)
	}
	put()
	if in.Retained(revision.Key) {
		t.Error("a revision that came again is still to be swept")
	}
	f.apply(t, in, 3, nil, feed.Removal{Key: assignment.Key, Cause: record.CausePerson}, feed.Removal{Key: revision.Key, Cause: record.CausePerson})
	if len(f.keys()) != 0 {
		t.Errorf("the store holds %q, want nothing", f.keys())
	}
	var state feed.State
	if err := json.Unmarshal(f.mirror.Snapshot().Meta(intake.MetaFloor), &state); err != nil || state.Floor.Revision != 3 {
		t.Errorf("the floor: got %+v, %v, want revision 3", state, err)
	}
}
