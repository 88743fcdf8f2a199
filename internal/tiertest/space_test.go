package tiertest_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// withdrawals are allotments that Global was told of and then was told otherwise, or no more.
type withdrawals struct {
	mu    sync.Mutex
	known map[record.Key]record.Version
	all   []record.Key
}

func (w *withdrawals) told(b feed.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range b.Puts {
		if before, known := w.known[r.Key]; known && before != r.Version {
			w.all = append(w.all, r.Key)
		}
		if r.Key.Kind == record.KindAllotment {
			w.known[r.Key] = r.Version
		}
	}
	for _, r := range b.Removals {
		if r.Key.Kind == record.KindAllotment {
			w.all = append(w.all, r.Key)
		}
	}
}

// allotted waits until Global is told what a claim of a zone has got, and returns that.
func (c *chain) allotted(t *testing.T, zone, owner string) (got netip.Prefix) {
	t.Helper()
	c.parent.Await(t, owner+" has a prefix", func(reports map[record.Key]record.Record) bool {
		a, err := record.DecodeAllotment(reports[record.AllotmentKey("west", zone, owner)])
		got = a.Prefix
		return err == nil && got.IsValid()
	})
	return got
}

// TestSpace takes address space from Global through the region to the zones, and what becomes of claims back up; through
// restarts of all tiers, with their parents away, nothing of it changes.
func TestSpace(t *testing.T) {
	c := newChain(t, onEtcd(t))
	pool := record.Pool{Name: "pods", Purpose: record.PurposePod, Ranges: []record.Range{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}},
		RegionLength: 12, ZoneLength: 16, ClaimLength: 24, LowWater: 20, HighWater: 60}
	west := netip.MustParsePrefix("10.16.0.0/12")
	claim := func(zone, owner string) record.Record {
		return record.Claim{Owner: owner, Region: "west", Zone: zone, Purpose: record.PurposePod}.Record()
	}
	c.parent.Put(pool.Record(), claim("a", "cluster/a-1/pods"), claim("b", "cluster/b-1/pods"))
	c.parent.Await(t, "the region asks for a prefix", func(reports map[record.Key]record.Record) bool {
		d, err := record.DecodeDemand(reports[record.DemandKey("west", "", "pods")])
		return err == nil && d.Want > 0
	})
	c.parent.Put(record.Prefix{Pool: "pods", Region: "west", Prefix: west}.Record())
	a, b := c.allotted(t, "a", "cluster/a-1/pods"), c.allotted(t, "b", "cluster/b-1/pods")
	if !west.Overlaps(a) || !west.Overlaps(b) || a.Overlaps(b) || a.Bits() != 24 || b.Bits() != 24 {
		t.Errorf("allotted %s and %s, want two /24 of %s", a, b, west)
	}

	seen := &withdrawals{known: map[record.Key]record.Version{}}
	c.parent.Told(seen.told)
	c.stop["region"]()
	c.restart["a"]() // it is cut off, and has what it had
	c.restart["region"]()
	c.restart["b"]()
	c.parent.Stop()
	c.restart["region"]()
	c.parent.Start(t)
	c.parent.Put(claim("a", "ipclaim/n/late"))
	late := c.allotted(t, "a", "ipclaim/n/late")
	if !west.Overlaps(late) || late.Overlaps(a) || late.Overlaps(b) {
		t.Errorf("allotted %s beside %s and %s", late, a, b)
	}
	c.parent.AwaitSession(t, "the region has told all", func(s feed.Status) bool { return s.Heard && s.InSync })
	if again := c.allotted(t, "a", "cluster/a-1/pods"); again != a {
		t.Errorf("zone a's claim has %s, and had %s", again, a)
	}
	if again := c.allotted(t, "b", "cluster/b-1/pods"); again != b {
		t.Errorf("zone b's claim has %s, and had %s", again, b)
	}
	seen.mu.Lock()
	if len(seen.all) > 0 {
		t.Errorf("Global was told otherwise of %v, want nothing", seen.all)
	}
	seen.mu.Unlock()
	c.parent.Told(nil)

	gone := claim("a", "cluster/a-1/pods")
	c.parent.Edit(feed.Remove(gone.Key, record.CausePerson))
	c.parent.Await(t, "what was claimed is given back", func(reports map[record.Key]record.Record) bool {
		_, told := reports[record.AllotmentKey("west", "a", "cluster/a-1/pods")]
		return !told
	})
}

// TestLeftSpace: zones whose last clusters and claims are gone give back all that they have, and so does their region.
func TestLeftSpace(t *testing.T) {
	c := newChain(t, onEtcd(t))
	west := netip.MustParsePrefix("10.16.0.0/12")
	claim := record.Claim{Owner: "cluster/a-1/pods", Region: "west", Zone: "a", Purpose: record.PurposePod}.Record()
	own := record.Prefix{Pool: "pods", Region: "west", Prefix: west}.Record()
	c.parent.Put(record.Pool{Name: "pods", Purpose: record.PurposePod, Ranges: []record.Range{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}},
		RegionLength: 12, ZoneLength: 16, ClaimLength: 24, LowWater: 20, HighWater: 60}.Record(), claim, own)
	c.allotted(t, "a", "cluster/a-1/pods")
	demand := func(what string, is func(d record.Demand) bool) {
		t.Helper()
		c.parent.Await(t, what, func(reports map[record.Key]record.Record) bool {
			d, err := record.DecodeDemand(reports[record.DemandKey("west", "", "pods")])
			return err == nil && is(d)
		})
	}
	for _, name := range []string{"a-1", "a-2", "b-1"} {
		c.parent.Edit(feed.Remove(record.ClusterKey(name), record.CausePerson))
	}
	c.parent.Edit(feed.Remove(claim.Key, record.CausePerson))
	demand("the region returns what the zones have given back", func(d record.Demand) bool {
		return d.Want == 0 && len(d.Returned) == 1 && d.Returned[0] == west && d.Taken == 0
	})
	c.parent.Edit(feed.Remove(own.Key, record.CausePerson))
	demand("the region has dropped it", func(d record.Demand) bool { return d.Addresses == 0 && len(d.Returned) == 0 })
}
