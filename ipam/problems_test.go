package ipam_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
)

// TestProblems: a reservation that comes after something of it was taken is told all the way up, and comes into force when that is
// released.
func TestProblems(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/16")
	tr.global.put(pool.Record(), tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
	taken := tr.a.has("ipclaim/n/1")
	pool.Reserved = []netip.Prefix{taken}
	tr.global.put(pool.Record())
	want := []string{"reserved: " + taken.String() + " of pool pods is in use by delegated/west/pods/0",
		"region west: reserved: " + taken.String() + " of pool pods is in use by delegated/west/a/pods/0",
		"region west: zone a: reserved: " + taken.String() + " of pool pods is in use by ipclaim/n/1"}
	await(t, "all know why it is not in force", func() bool {
		return strings.Join(tr.global.state("pods").Problems, "\n") == strings.Join(want, "\n")
	})
	tr.west.restart()
	await(t, "the region tells again after a restart", func() bool {
		return strings.Join(tr.global.state("pods").Problems, "\n") == strings.Join(want, "\n")
	})
	tr.global.remove(record.ClaimKey("west", "a", "ipclaim/n/1"))
	await(t, "it is in force at the zone", func() bool {
		return len(tr.a.state("pods").Problems) == 0 && !strings.Contains(strings.Join(tr.global.state("pods").Problems, "\n"), "zone a")
	})
}
