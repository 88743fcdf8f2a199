package ipam_test

import (
	"fmt"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
)

// TestShare: a zone does not get the last prefix of a small pool while another that has clusters has none, even if that is silent,
// and gets it when there is no such.
func TestShare(t *testing.T) {
	tr := newTree(t)
	tr.b.cut()
	tr.global.put(pods("10.0.0.0/24").Record()) // four for zones
	owner := func(n int) string { return fmt.Sprintf("ipclaim/n/%d", n) }
	for n := range 4 {
		tr.global.put(tr.a.claim(owner(n), record.Claim{Pool: "pods", Length: 26}))
	}
	await(t, "the region has given what it gives, and zone a lacks something", func() bool {
		return tr.west.state("pods").Short > 0 && len(tr.west.tier.Delegations()) >= 3
	})
	if got := tr.west.tier.Delegations(); len(got) != 3 {
		t.Errorf("zone a has %v, want three, and one kept for zone b", got)
	}
	tr.b.join()
	tr.b.holds("pods", 1)
	if got := tr.west.tier.Delegations(); len(got) != 4 {
		t.Errorf("the zones have %v, want zone b one of four", got)
	}
	tr.global.remove(record.ClusterKey("b1"))
	tr.b.holds("pods", 0)
	for n := range 4 {
		tr.a.has(owner(n))
	}
}

// TestShareOfNone: what was kept for a zone that never asked is given when it has no clusters any more.
func TestShareOfNone(t *testing.T) {
	tr := newTree(t)
	tr.b.cut()
	tr.global.put(pods("10.0.0.0/24").Record())
	for n := range 4 {
		tr.global.put(tr.a.claim(fmt.Sprintf("ipclaim/n/%d", n), record.Claim{Pool: "pods", Length: 26}))
	}
	await(t, "the region has given what it gives, and zone a lacks something", func() bool {
		return tr.west.state("pods").Short > 0 && len(tr.west.tier.Delegations()) >= 3
	})
	tr.global.remove(record.ClusterKey("b1"))
	for n := range 4 {
		tr.a.has(fmt.Sprintf("ipclaim/n/%d", n))
	}
}
