package ipam_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// state is what was last reported of a pool.
func (p *place) state(pool string) ipam.PoolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[pool]
}

// TestDraining: of a range that drains nothing more is taken anywhere, what is taken stays, and the rest comes back.
func TestDraining(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/22")
	tr.global.put(pool.Record(), tr.a.claim("ipclaim/n/old", record.Claim{Pool: "pods"}))
	old := tr.a.has("ipclaim/n/old")
	pool.Ranges = append(pool.Ranges, pods("172.16.0.0/22").Ranges...)
	pool.Ranges[0].Draining = true
	tr.global.put(pool.Record())
	await(t, "zone b has only new space, and zone a an old block that is closed", func() bool {
		aOpen, aClosed := tr.a.blocks("pods")
		bOpen, bClosed := tr.b.blocks("pods")
		return len(aOpen) == 1 && pool.Ranges[1].Prefix.Overlaps(aOpen[0]) && len(aClosed) == 1 && aClosed[0].Overlaps(old) &&
			len(bOpen) == 1 && pool.Ranges[1].Prefix.Overlaps(bOpen[0]) && len(bClosed) == 0
	})
	tr.global.put(tr.a.claim("ipclaim/n/new", record.Claim{Pool: "pods"}))
	if got := tr.a.has("ipclaim/n/new"); !pool.Ranges[1].Prefix.Overlaps(got) {
		t.Errorf("while the range drains, %s is taken of it", got)
	}
	if got, _ := tr.a.allotment("ipclaim/n/old"); got.Prefix != old {
		t.Errorf("what was taken of the range is now %v, before %s", got.Prefix, old)
	}
	tr.global.remove(record.ClaimKey("west", "a", "ipclaim/n/old"))
	await(t, "the range is empty", func() bool {
		for _, b := range tr.global.ledger.Usage("pods").Blocks {
			if b.Prefix == pool.Ranges[0].Prefix {
				return b.Idle
			}
		}
		return false
	})
	pool.Ranges = pool.Ranges[1:]
	tr.global.put(pool.Record())
	await(t, "the range is gone", func() bool { return len(tr.global.ledger.Usage("pods").Blocks) == 1 })
}

// TestRemovedRange: a range that leaves the pool while somebody has something of it is kept, closed, and reported with the
// owners; it goes when they have released it.
func TestRemovedRange(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/24", "10.0.8.0/24")
	pool.RegionLength, pool.ZoneLength = 0, 0
	tr.global.put(pool.Record(), tr.global.claim("ipclaim/n/1", record.Claim{Pool: "pods", Prefix: prefix("10.0.8.7/32")}))
	tr.global.has("ipclaim/n/1")
	pool.Ranges = pool.Ranges[:1]
	tr.global.put(pool.Record())
	await(t, "the range is stranded", func() bool {
		s := tr.global.state("pods").Stranded
		return len(s) == 1 && s[0].Prefix == prefix("10.0.8.0/24") && slices.Contains(s[0].Owners, "ipclaim/n/1")
	})
	if _, closed := tr.global.blocks("pods"); !slices.Contains(closed, prefix("10.0.8.0/24")) {
		t.Errorf("closed are %v, want 10.0.8.0/24 among them", closed)
	}
	tr.global.restart()
	await(t, "it is stranded after a restart", func() bool { return len(tr.global.state("pods").Stranded) == 1 })
	tr.global.remove(record.ClaimKey("", "", "ipclaim/n/1"))
	tr.global.holds("pods", 1)
	await(t, "nothing is stranded", func() bool { return len(tr.global.state("pods").Stranded) == 0 })
}

// TestChangedPool: a range can be widened; what is reserved must be free; marks take effect.
func TestChangedPool(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.1.0/24")
	pool.RegionLength, pool.ZoneLength = 0, 0
	tr.global.put(pool.Record(), tr.global.claim("ipclaim/n/1", record.Claim{Pool: "pods", Prefix: prefix("10.0.1.0/25")}))
	tr.global.has("ipclaim/n/1")
	pool.Ranges[0].Prefix = prefix("10.0.0.0/22")
	tr.global.put(pool.Record(), tr.global.claim("ipclaim/n/2", record.Claim{Pool: "pods", Length: 23}))
	if got := tr.global.has("ipclaim/n/2"); got != prefix("10.0.2.0/23") {
		t.Errorf("of the wider range %s is allocated, want 10.0.2.0/23", got)
	}
	pool.Reserved = append(pool.Reserved, prefix("10.0.1.5/32"))
	pool.Ranges[0].Draining = true
	tr.global.put(pool.Record())
	await(t, "the reservation is refused, and nothing else", func() bool {
		p := tr.global.state("pods").Problems
		open, _ := tr.global.blocks("pods")
		return len(p) == 1 && strings.Contains(p[0], "ipclaim/n/1") && len(open) == 0
	})
	pool.Ranges[0].Draining = false
	pool.Reserved[0] = prefix("10.0.0.128/25")
	tr.global.put(pool.Record(), tr.global.claim("ipclaim/n/3", record.Claim{Pool: "pods", Prefix: prefix("10.0.0.200/32")}))
	if got := tr.global.refused("ipclaim/n/3", "PrefixTaken"); !strings.Contains(got, "reserved") {
		t.Errorf("got the message %q, want one that says it is reserved", got)
	}

	pool.Ranges = append(pool.Ranges, pods("172.16.0.0/16").Ranges...)
	pool.RegionLength, pool.ZoneLength = 24, 26
	tr.global.put(pool.Record())
	tr.a.holds("pods", 1)
	tr.global.put(tr.a.claim("ipclaim/n/4", record.Claim{Pool: "pods", Length: 27}))
	tr.a.has("ipclaim/n/4")
	pool.LowWater, pool.HighWater = 60, 90
	tr.global.put(pool.Record())
	tr.a.holds("pods", 2)
}

// TestReclaim: what a zone has is taken back only when somebody says that it is gone for good, and a zone that comes back all the
// same extends nothing of it.
func TestReclaim(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record(), record.Cluster{Name: "a1", Region: "west", Zone: "a"}.Record(),
		tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
	lost := tr.a.has("ipclaim/n/1")
	before := tr.a.holds("pods", 1)[0]
	for _, test := range []struct{ name, child, want string }{
		{"connected", "west/a", "is connected"},
		{"no child", "a", "no place right below west"},
		{"another region's", "east/a", "no place right below west"},
		{"itself", "west", "no place right below west"},
		{"nothing there", "west/c", "nothing is delegated to west/c"},
	} {
		if _, err := tr.west.tier.Reclaim(t.Context(), test.child, false); !errors.Is(err, ipam.ErrNotReclaimed) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
	tr.a.cut()
	if _, err := tr.west.tier.Reclaim(t.Context(), "west/a", false); !errors.Is(err, ipam.ErrNotReclaimed) || !strings.Contains(err.Error(), "cluster a1") {
		t.Errorf("in the inventory: got %v, want an error with cluster a1", err)
	}
	taken, err := tr.west.tier.Reclaim(t.Context(), "west/a", true)
	if err != nil || len(taken) != 1 || taken[0].Prefix != before {
		t.Fatalf("got %v, %v, want %s", taken, err, before)
	}
	tr.west.mu.Lock()
	if got := tr.west.reclaimed; !slices.Equal(got, []string{"west/a"}) {
		t.Errorf("reclaimed from %v is told, want west/a", got)
	}
	tr.west.mu.Unlock()
	r := tr.a.claim("ipclaim/n/2", record.Claim{Pool: "pods"})
	tr.global.put(r)
	tr.a.put(r)
	tr.a.has("ipclaim/n/2") // it has not heard
	tr.a.join()
	await(t, "the zone's old block is closed and it has another", func() bool {
		open, closed := tr.a.blocks("pods")
		s := tr.a.state("pods").Stranded
		return slices.Equal(closed, []netip.Prefix{before}) && len(open) == 1 && len(s) == 1 && slices.Contains(s[0].Owners, "ipclaim/n/1")
	})
	report, err := tr.a.tier.Audit(t.Context())
	if err != nil || !slices.ContainsFunc(report.Findings, func(f ipam.Finding) bool { return f.Kind == ipam.FoundStranded && f.Prefix == before }) {
		t.Errorf("the audit finds %v, %v, want %s stranded", report.Findings, err, before)
	}
	if got, _ := tr.a.allotment("ipclaim/n/1"); got.Prefix != lost {
		t.Errorf("the owner of what is stranded has %v, before %s", got.Prefix, lost)
	}
	for _, owner := range []string{"ipclaim/n/1", "ipclaim/n/2"} {
		tr.global.remove(record.ClaimKey("west", "a", owner))
	}
	if open := tr.a.holds("pods", 1); open[0] == before {
		t.Errorf("the zone has %s again, which was reclaimed", before)
	}
}

// TestAudit: what does not fit together is found, and mended as reported, and nothing is before that.
func TestAudit(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record(), tr.global.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
	tr.global.has("ipclaim/n/1")
	tr.a.holds("pods", 1)
	check := func(p *place, want ...string) ipam.Report {
		t.Helper()
		r, err := p.tier.Audit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Findings {
			got = append(got, f.Kind)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("the audit finds %v, want %v", r.Findings, want)
		}
		return r
	}
	for _, p := range tr.places() {
		check(p)
	}
	ctx := context.Background()
	// A claim's entry with no claim, and one that was lost; a prefix record that nothing was delegated for, and one that is missing.
	if _, err := tr.global.ledger.Allocate(ctx, ledger.Request{Owner: "application/n/gone", Pool: "pods", Length: 32}); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.global.ledger.Release(ctx, "ipclaim/n/1"); err != nil {
		t.Fatal(err)
	}
	tr.a.cut()
	tr.b.cut() // or they hear of it, and what they say has it mended
	was := tr.west.tier.Delegations()[0]
	tr.west.remove(record.PrefixKey("west", was.Child[len("west/"):], "pods", was.Prefix))
	stray := record.Prefix{Pool: "pods", Region: "west", Zone: "a", Prefix: prefix("10.0.99.0/26")}
	tr.west.put(stray.Record())
	atGlobal := check(tr.global, ipam.FoundClaimWithoutEntry, ipam.FoundEntryWithoutClaim)
	atWest := check(tr.west, ipam.FoundDelegationWithoutRecord, ipam.FoundRecordWithoutDelegation)
	if done, err := tr.global.tier.Repair(ctx, atGlobal); err != nil || len(done) != 2 {
		t.Errorf("repairing Global: %v, %v, want two things done", done, err)
	}
	check(tr.global)
	done, err := tr.west.tier.Repair(ctx, atWest)
	if err == nil || !strings.Contains(err.Error(), "10.0.99.0/26") || len(done) != 1 {
		t.Errorf("repairing west: %v, %v, want one thing done and an error about a prefix in no block", done, err)
	}
	check(tr.west, ipam.FoundRecordWithoutDelegation)
	old := ipam.Report{Findings: []ipam.Finding{{Kind: ipam.FoundMissingBlock, Pool: "gone", Prefix: prefix("10.0.0.0/24"), Mendable: true}}}
	if _, err := tr.global.tier.Repair(ctx, old); err != nil {
		t.Errorf("repairing what an old report says of a pool that is gone: %v", err)
	}
	check(tr.global)
}

// TestOverlap: pools whose addresses can meet are found where they overlap; those of separate networks may.
func TestOverlap(t *testing.T) {
	tr := newTree(t)
	on := func(name, network, cidr string) record.Record {
		p := pods(cidr)
		p.Name, p.Network, p.RegionLength = name, network, 0
		return p.Record()
	}
	tr.global.put(on("blue", "blue", "10.0.0.0/16"), on("green", "green", "10.0.4.0/24"), on("all", "", "10.1.0.0/16"),
		on("more", "green", "10.1.2.0/24"), on("last", "green", "10.2.0.0/24"))
	await(t, "Global holds all pools", func() bool { return len(tr.global.ledger.Pools()) == 5 })
	r, err := tr.global.tier.Audit(t.Context())
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Kind != ipam.FoundOverlap || r.Findings[0].Pool != "more" {
		t.Errorf("got %v, %v, want pool more to overlap another", r.Findings, err)
	}
}
