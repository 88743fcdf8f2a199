package region_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

func allotment(zone, owner, prefix string) record.Record {
	a := record.Allotment{Owner: owner, Region: "west", Zone: zone, Pool: "p", Reason: "Waiting"}
	if prefix != "" {
		a.Prefix, a.Reason = netip.MustParsePrefix(prefix), ""
	}
	return a.Record()
}

// tells waits until of allotments Global is told these alone, as they are.
func (r *tier) tells(what string, want ...record.Record) {
	r.t.Helper()
	r.parent.Await(r.t, what, func(reports map[record.Key]record.Record) bool {
		maps.DeleteFunc(reports, func(key record.Key, _ record.Record) bool { return key.Kind != record.KindAllotment })
		return len(reports) == len(want) && !slices.ContainsFunc(want, func(w record.Record) bool {
			return reports[w.Key].Version != w.Version
		})
	})
}

// TestAllotmentsGoUp shows that Global is told what became of the zones' claims in the zones' own words; that a zone that is
// silent keeps its word, also when the region restarts; and that what it does not tell when it is back is gone.
func TestAllotmentsGoUp(t *testing.T) {
	r := newTier(t)
	a, b := allotment("a", "ipclaim/n/x", "10.1.0.1/32"), allotment("b", "ipclaim/n/y", "")
	r.zones["a"].Outbox.Edit(feed.Put(&a))
	r.zones["b"].Outbox.Edit(feed.Put(&b))
	r.tells("both zones' allotments are told", a, b)
	r.zones["a"].Stop()
	met := allotment("b", "ipclaim/n/y", "10.2.0.0/24")
	r.zones["b"].Outbox.Edit(feed.Put(&met))
	r.tells("zone b's is met, and that of zone a, which is silent, stands", a, met)
	r.parent.Stop()
	r.stop()
	r.start()
	r.parent.Start(t)
	r.parent.AwaitSession(t, "the region has told all, and zone a nothing", func(s feed.Status) bool { return s.Heard })
	r.tells("zone a's stands", a, met)
	again := allotment("a", "ipclaim/n/z", "10.1.0.2/32")
	r.zones["a"].Outbox.Edit(feed.Remove(a.Key, record.CausePerson), feed.Put(&again))
	r.zones["a"].Start()
	r.tells("what zone a does not tell any more is released", again, met)
	r.zones["a"].Outbox.Edit(feed.Remove(again.Key, record.CausePerson))
	r.tells("zone a's other is released, too", met)
	r.parent.Edit(feed.Remove(record.ClusterKey("b-1"), record.CausePerson))
	r.tells("zone b has left the region, and its word with it")
}

// TestZoneWithoutClusters shows that a claim is enough to be served, and that pools go to all, claims and prefixes to whom they
// are for.
func TestZoneWithoutClusters(t *testing.T) {
	r := newTier(t)
	pool, claim := record.Pool{Name: "p"}.Record(), record.Claim{Owner: "ipclaim/n/x", Region: "west", Zone: "c"}.Record()
	own := record.Prefix{Pool: "p", Region: "west", Prefix: netip.MustParsePrefix("10.0.0.0/12")}.Record()
	r.parent.Put(pool, claim, own)
	c := tiertest.NewChild(t, "zone", "region/west/zone/c", r.addr)
	c.Start()
	c.Await(t, "zone c has its claim", holds(pool.Key, claim.Key))
	r.zones["a"].Await(t, "zone a has the pool", holds(record.ClusterKey("a-1"), pool.Key))
	r.parent.Edit(feed.Remove(claim.Key, record.CausePerson))
	tiertest.Await(t, "zone c is turned away", func() bool { return !c.Connected() })
}

// TestPrefixesAreGuarded loses most of the region's prefixes with nobody to have asked for it, and then on purpose.
func TestPrefixesAreGuarded(t *testing.T) {
	r := newTier(t)
	var puts []record.Record
	for i := range 50 {
		puts = append(puts, record.Prefix{Pool: "p", Region: "west", Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i))}.Record())
	}
	r.parent.Put(puts...)
	r.parent.AwaitInSync(t)
	edits := func(cause record.Cause) (out []feed.Edit) {
		for _, p := range puts {
			out = append(out, feed.Remove(p.Key, cause))
		}
		return out
	}
	r.parent.Edit(edits(record.CauseScope)...)
	tiertest.Await(t, "removals are held back", func() bool {
		held := ask(t, r.parent, question.KindOverview, question.OverviewRequest{}).Overview.Held
		return held != nil && held.Total > 20
	})
	prefixes := func() (n int) {
		state, err := r.store.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range state.Entries {
			if e.Key.Kind == record.KindPrefix {
				n++
			}
		}
		return n
	}
	if n := prefixes(); n < 25 {
		t.Errorf("%d of 50 prefixes are left, want most of them", n)
	}
	r.parent.Put(puts...)
	r.parent.Edit(edits(record.CausePerson)...)
	tiertest.Await(t, "what a person took back is gone", func() bool { return prefixes() == 0 })
}
