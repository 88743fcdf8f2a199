package ipam_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// TestClaims: claims are met where they are for, and what they had comes back.
func TestClaims(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record(), tr.global.claim("ipclaim/n/g", record.Claim{Pool: "pods"}),
		tr.a.claim("ipclaim/n/a", record.Claim{Purpose: record.PurposePod, Length: 28}), tr.b.claim("cluster/b1/pods", record.Claim{Pool: "pods"}))
	g, a, b := tr.global.has("ipclaim/n/g"), tr.a.has("ipclaim/n/a"), tr.b.has("cluster/b1/pods")
	if g.Bits() != 32 || a.Bits() != 28 || b.Bits() != 32 {
		t.Errorf("got %s, %s and %s, want lengths of 32, 28 and 32", g, a, b)
	}
	if g.Overlaps(a) || a.Overlaps(b) || b.Overlaps(g) {
		t.Errorf("%s, %s and %s overlap", g, a, b)
	}
	tr.a.restart()
	if again := tr.a.has("ipclaim/n/a"); again != a {
		t.Errorf("after a restart it has %s, before %s", again, a)
	}
	tr.global.remove(record.ClaimKey("west", "a", "ipclaim/n/a"))
	await(t, "the block is idle again", func() bool {
		u := tr.a.ledger.Usage("pods")
		_, told := tr.a.allotment("ipclaim/n/a")
		return len(u.Blocks) == 1 && u.Blocks[0].Idle && !told
	})
}

// TestRefusals: what cannot be met says why, and is met when that changes.
func TestRefusals(t *testing.T) {
	tr := newTree(t)
	small := record.Pool{Name: "small", Purpose: record.PurposeService, Network: "blue", Ranges: []record.Range{{Prefix: prefix("192.0.2.0/30")}},
		Reserved: []netip.Prefix{prefix("192.0.2.0/32")}}
	tr.global.put(pods("10.0.0.0/22").Record(), small.Record())
	claims := []struct {
		name, reason, message string
		place                 *place
		claim                 record.Claim
	}{
		{"unknown", "PoolNotFound", "there is no pool nothing", tr.global, record.Claim{Pool: "nothing"}},
		{"purpose", "NoPool", "purpose Node for network green", tr.global, record.Claim{Purpose: record.PurposeNode, Network: "green"}},
		{"family", "NoPool", "no IPv6 pool", tr.global, record.Claim{Purpose: record.PurposePod, IPv6: true}},
		{"network", "NoPool", "no IPv4 pool of purpose Service for network green", tr.global,
			record.Claim{Purpose: record.PurposeService, Network: "green"}},
		{"undelegated", "NoPool", "pool small is not handed down to west/a", tr.a, record.Claim{Pool: "small"}},
		{"large", "TooLarge", "a /20 is larger than every range of pool pods; the largest is a /22", tr.a, record.Claim{Pool: "pods", Length: 20}},
		{"long", "OutsidePool", "want at most /32", tr.a, record.Claim{Pool: "pods", Length: 64}},
		{"outside", "OutsidePool", "198.51.100.0/24 is in no range of pool pods", tr.global,
			record.Claim{Pool: "pods", Prefix: prefix("198.51.100.0/24")}},
		{"elsewhere", "OutsidePool", "in nothing that west/a may take from pool pods", tr.a,
			record.Claim{Pool: "pods", Prefix: prefix("10.0.3.255/32")}},
		{"reserved", "PrefixTaken", "is reserved", tr.global, record.Claim{Pool: "small", Prefix: prefix("192.0.2.0/32")}},
		{"full", "PoolExhausted", "no free /31 in pool small", tr.global,
			record.Claim{Purpose: record.PurposeService, Network: "blue", Length: 31}},
	}
	tr.global.put(tr.global.claim("ipclaim/n/first", record.Claim{Pool: "small", Prefix: prefix("192.0.2.2/32")}))
	tr.global.has("ipclaim/n/first")
	for _, c := range claims {
		t.Run(c.name, func(t *testing.T) {
			tr.global.put(c.place.claim("ipclaim/n/"+c.name, c.claim))
			if got := c.place.refused("ipclaim/n/"+c.name, c.reason); !strings.Contains(got, c.message) {
				t.Errorf("got the message %q, want one with %q", got, c.message)
			}
		})
	}
	tr.global.remove(record.ClaimKey("", "", "ipclaim/n/full"))
	tr.global.put(tr.global.claim("ipclaim/n/second", record.Claim{Pool: "small", Prefix: prefix("192.0.2.2/32")}))
	if got := tr.global.refused("ipclaim/n/second", "PrefixTaken"); !strings.Contains(got, "ipclaim/n/first") {
		t.Errorf("got the message %q, want one that names ipclaim/n/first", got)
	}
	tr.global.remove(record.ClaimKey("", "", "ipclaim/n/first"))
	if got := tr.global.has("ipclaim/n/second"); got != prefix("192.0.2.2/32") {
		t.Errorf("the second owner of a static address has %s", got)
	}
	tr.global.put(tr.global.claim("ipclaim/n/full", record.Claim{Pool: "small", Length: 31}))
	tr.global.refused("ipclaim/n/full", "PoolExhausted")
	tr.global.remove(record.ClaimKey("", "", "ipclaim/n/second"))
	if got := tr.global.has("ipclaim/n/full"); got != prefix("192.0.2.2/31") {
		t.Errorf("when there is room again, %s is allocated, want 192.0.2.2/31", got)
	}
	nothing := pods("172.16.0.0/16")
	nothing.Name = "nothing"
	tr.global.put(nothing.Record())
	tr.global.has("ipclaim/n/unknown")
}

// TestGrowth: a place asks for more below its mark and for what does not fit, and gives back what is idle.
func TestGrowth(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record())
	tr.a.holds("pods", 1)
	tr.b.holds("pods", 1)
	for _, owner := range []string{"ipclaim/n/1", "ipclaim/n/2", "ipclaim/n/3"} {
		tr.global.put(tr.a.claim(owner, record.Claim{Pool: "pods", Length: 27}))
		tr.a.has(owner)
	}
	tr.a.holds("pods", 2)
	tr.global.put(tr.a.claim("ipclaim/n/large", record.Claim{Pool: "pods", Length: 22}))
	if got := tr.a.has("ipclaim/n/large"); got.Bits() != 22 {
		t.Errorf("a claim larger than what is delegated got %s, want a /22", got)
	}
	for _, owner := range []string{"ipclaim/n/1", "ipclaim/n/2", "ipclaim/n/3", "ipclaim/n/large"} {
		tr.global.remove(record.ClaimKey("west", "a", owner))
	}
	// Two zones with a prefix each take half of one of west's, so that at most one more stays to keep 60 % free.
	a := tr.a.holds("pods", 1)
	west := tr.west.holds("pods", 2)
	if a[0].Bits() != 26 || west[0].Bits() != 24 || west[1].Bits() != 24 || !west[0].Overlaps(a[0]) {
		t.Errorf("idle, zone a holds %v, and region west %v", a, west)
	}
	await(t, "Global has given two prefixes", func() bool {
		return len(tr.global.entries(ledger.Query{OwnerPrefix: "delegated/"})) == 2 && len(tr.global.tier.Delegations()) == 2
	})
}

// TestCutOff: a zone without its parents goes on from what it has, through a restart too, and asks when they are back.
func TestCutOff(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record())
	tr.a.holds("pods", 1)
	tr.a.cut()
	claims := []string{"ipclaim/n/1", "ipclaim/n/2"}
	for _, owner := range claims {
		r := tr.a.claim(owner, record.Claim{Pool: "pods", Length: 27})
		tr.global.put(r)
		tr.a.put(r) // as if it had been here before
		tr.a.has(owner)
	}
	tr.a.restart()
	r := tr.a.claim("ipclaim/n/3", record.Claim{Pool: "pods", Length: 27})
	tr.global.put(r)
	tr.a.put(r)
	tr.a.refused("ipclaim/n/3", "Waiting")
	tr.a.join()
	tr.a.has("ipclaim/n/3")
}

// TestAgain: a claim that goes and comes again is met again, whichever of its release and of its quarantine's end the new one comes
// before; and if it asks for what it had, with that, without waiting.
func TestAgain(t *testing.T) {
	tr := newTree(t)
	long, short := pods("10.0.0.0/16"), pods("10.1.0.0/16")
	long.Quarantine, short.Name = time.Hour, "short"
	tr.global.put(long.Record(), short.Record())
	for _, p := range []*place{tr.global, tr.a} {
		for _, c := range []record.Claim{{Owner: "ipclaim/n/any", Pool: "pods"}, {Owner: "ipclaim/n/static", Pool: "pods"}, {Owner: "ipclaim/n/short", Pool: "short"}} {
			owner, key := c.Owner, record.ClaimKey(p.region, p.zone, c.Owner)
			tr.global.put(p.claim(owner, c))
			had := p.has(owner)
			if owner == "ipclaim/n/static" {
				c.Prefix = had
			}
			taken := func() bool {
				e, err := p.ledger.Get(t.Context(), owner)
				return err == nil && e.Until.IsZero()
			}
			orders := map[string]func() bool{
				"at once":              func() bool { return true },
				"when it was heard":    func() bool { _, told := p.allotment(owner); return !told },
				"when it was released": func() bool { return !taken() },
			}
			if c.Pool == "short" {
				orders["when its quarantine is over"] = func() bool { return len(p.entries(ledger.Query{OwnerPrefix: owner})) == 0 }
			}
			for order, wait := range orders {
				tr.global.remove(key)
				await(t, order, wait)
				tr.global.put(p.claim(owner, c))
				await(t, fmt.Sprintf("%s has something again at %s, claimed anew %s", owner, p.name, order), func() bool {
					a, _ := p.allotment(owner)
					return a.Prefix.IsValid() && taken()
				})
				if got, _ := p.allotment(owner); c.Prefix.IsValid() && got.Prefix != had {
					t.Errorf("%s claimed anew %s at %s: got %s, want %s again", owner, order, p.name, got.Prefix, had)
				}
			}
		}
	}
}
