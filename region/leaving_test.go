package region_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/tiertest"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// newAddressing starts a region that has addresses, of which zone a has a prefix.
func newAddressing(t *testing.T) (r *tier, has record.Record) {
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
	r = newTierOn(t, ledger.Config{Client: s.Client(), Prefix: s.Prefix()})
	r.parent.Put(record.Pool{Name: "p", Purpose: record.PurposePod, Ranges: []record.Range{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}},
		RegionLength: 16, ZoneLength: 24, ClaimLength: 32, LowWater: 20, HighWater: 60, Quarantine: time.Hour}.Record(),
		record.Prefix{Pool: "p", Region: "west", Prefix: netip.MustParsePrefix("10.0.0.0/16")}.Record())
	r.wants(record.Demand{Want: 1})
	return r, r.given("zone a has a prefix", nil)
}

// wants has zone a say what it wants of the pool.
func (r *tier) wants(d record.Demand) {
	d.Pool, d.Region, d.Zone = "p", "west", "a"
	said := d.Record()
	r.zones["a"].Outbox.Edit(feed.Put(&said))
}

// given waits until zone a has a prefix, other than one that it had.
func (r *tier) given(what string, had *record.Record) (has record.Record) {
	r.t.Helper()
	r.zones["a"].Await(r.t, what, func(held map[record.Key]record.Record) bool {
		for key, v := range held {
			if key.Kind == record.KindPrefix && (had == nil || had.Key != key) {
				has = v
			}
		}
		return has.Key.Kind != ""
	})
	return has
}

// TestZoneLeavesItsAddresses: a zone whose last cluster is gone is served until it has given back what it held.
func TestZoneLeavesItsAddresses(t *testing.T) {
	r, has := newAddressing(t)
	v, err := record.DecodePrefix(has)
	if err != nil {
		t.Fatal(err)
	}
	r.wants(record.Demand{Want: 1, Addresses: 256})
	cluster := record.ClusterKey("a-1")
	r.parent.Edit(feed.Remove(cluster, record.CausePerson))
	r.zones["a"].Await(t, "zone a has no cluster, and has its prefix", func(held map[record.Key]record.Record) bool {
		_, clustered := held[cluster]
		_, stays := held[has.Key]
		return !clustered && stays
	})
	overview := ask(t, r.parent, question.KindOverview, question.OverviewRequest{}).Overview
	if !slices.ContainsFunc(overview.Sessions, func(s question.Session) bool { return s.Peer == "zone/a" && s.Connected }) {
		t.Errorf("the region's sessions are %+v, want one with zone a", overview.Sessions)
	}
	r.wants(record.Demand{Addresses: 256, Returned: []netip.Prefix{v.Prefix}})
	r.zones["a"].Await(t, "its prefix is taken away", func(held map[record.Key]record.Record) bool {
		_, stays := held[has.Key]
		return !stays
	})
	r.zones["a"].Outbox.Edit(feed.Remove(record.DemandKey("west", "a", "p"), record.CausePerson))
	tiertest.Await(t, "zone a, which has nothing any more, is turned away", func() bool { return !r.zones["a"].Connected() })
	tiertest.Await(t, "the region has the prefix in quarantine", func() bool {
		f := ask(t, r.parent, question.KindIPAMFind, question.IPAMFindRequest{Prefix: v.Prefix}).Space.Found
		return f != nil && len(f.Entries) == 1 && !f.Entries[0].Until.IsZero()
	})
}

// TestReclaimedZone: when what a zone had is taken back, the region forgets what it wanted and what became of its claims, and
// Global with it. If it is there all the same, it tells all again.
func TestReclaimedZone(t *testing.T) {
	r, has := newAddressing(t)
	r.wants(record.Demand{Want: 1, Addresses: 256})
	mine, other := allotment("a", "ipclaim/n/x", "10.0.0.1/32"), allotment("b", "ipclaim/n/y", "10.0.1.1/32")
	r.zones["a"].Outbox.Edit(feed.Put(&mine))
	r.zones["b"].Outbox.Edit(feed.Put(&other))
	r.tells("what became of both zones' claims", mine, other)

	if _, err := r.reclaim(false); err == nil || !strings.Contains(err.Error(), "is connected") {
		t.Errorf("reclaiming from a zone that is connected: got %v, want an error that says so", err)
	}
	r.zones["a"].Stop()
	r.reclaimed(has)
	r.tells("zone a's word is no more", other)
	r.zones["a"].Start()
	again := r.given("zone a, which is back, has another prefix", &has)
	r.tells("it has told all again", mine, other)
	r.reclaimed(again)
	third := r.given("zone a, which was connected, has told again what it wants", &again)
	if third.Key == has.Key || again.Key == has.Key {
		t.Errorf("the zone has %s and %s, want not what was reclaimed before: %s", again.Key, third.Key, has.Key)
	}
}

// reclaim takes back what zone a had.
func (r *tier) reclaim(force bool) ([]byte, error) {
	r.t.Helper()
	payload, err := json.Marshal(question.IPAMReclaimRequest{Target: question.Path{Region: "west", Zone: "a"}, Force: force})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.parent.Ask(r.t, question.KindIPAMReclaim, payload)
}

// reclaimed takes it back, which was a prefix, whoever is connected.
func (r *tier) reclaimed(had record.Record) {
	r.t.Helper()
	answer, err := r.reclaim(true)
	if err != nil {
		r.t.Fatal(err)
	}
	node, err := question.Decode[question.Node](answer)
	if err != nil || len(node.Confirmed) != 1 {
		r.t.Fatalf("reclaiming %s: got %q, %v, want it alone", had.Key, node.Confirmed, err)
	}
}
