package ipam_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// lose ends the place and throws away its ledger, and with it the records that it had; there is no witness. It comes back cut off.
func (tr *tree) lose(p *place) {
	tr.t.Helper()
	p.cut()
	p.stop()
	if _, err := tr.store.Client().Delete(tr.t.Context(), p.ledgers.Prefix+"/", clientv3.WithPrefix()); err != nil {
		tr.t.Fatal(err)
	}
	var writes []store.Write
	for e := range p.mirror.Snapshot().Entries() {
		writes = append(writes, store.Write{Record: record.Record{Key: e.Key}, Delete: true, Cause: record.CausePerson})
	}
	if _, err := p.writer.Apply(tr.t.Context(), writes, nil); err != nil {
		tr.t.Fatal(err)
	}
	p.start()
}

// known waits until the records of all prefixes that a place holds of a pool name its ledger's epoch.
func (p *place) known(pool string) {
	p.t.Helper()
	await(p.t, "the place above knows which ledger of "+p.name+" holds what", func() bool {
		open, closed := p.blocks(pool)
		for _, held := range append(open, closed...) {
			e, ok := p.parent.mirror.Snapshot().Get(record.PrefixKey(p.region, p.zone, pool, held))
			if !ok {
				return false
			}
			if v, err := record.DecodePrefix(e.Record); err != nil || v.Epoch != p.epoch() {
				return false
			}
		}
		return len(open) > 0
	})
}

// TestLost: a zone that lost its store and its witness gives nothing of what it had, tells that, and goes on when somebody says so;
// then the owners of certain prefixes have them again.
func TestLost(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record(), tr.a.claim("ipclaim/n/any", record.Claim{Pool: "pods"}))
	first := tr.a.has("ipclaim/n/any")
	static := record.Claim{Pool: "pods", Prefix: first}
	tr.global.remove(record.ClaimKey("west", "a", "ipclaim/n/any"))
	tr.global.put(tr.a.claim("ipclaim/n/static", static))
	tr.a.has("ipclaim/n/static")
	tr.global.put(tr.a.claim("ipclaim/n/any", record.Claim{Pool: "pods"}))
	tr.a.has("ipclaim/n/any")
	tr.b.holds("pods", 1)
	had := tr.a.holds("pods", 1)[0]
	tr.a.known("pods")

	tr.lose(tr.a)
	tr.a.join()
	for _, owner := range []string{"ipclaim/n/any", "ipclaim/n/static"} {
		if got := tr.a.refused(owner, ipam.ReasonStoreSetBack); !strings.Contains(got, "check --at west/a --repair --yes") {
			t.Errorf("%s is told %q, want what to do", owner, got)
		}
	}
	await(t, "Global knows", func() bool {
		p := tr.global.state("pods").Problems
		return len(p) == 1 && strings.HasPrefix(p[0], "region west: zone a: ") && strings.Contains(p[0], had.String())
	})
	tr.a.restart()
	tr.west.restart()
	tr.a.refused("ipclaim/n/any", ipam.ReasonStoreSetBack)
	if _, err := tr.a.ledger.Allocate(t.Context(), ledger.Request{Owner: "local/machine", Pool: "pods", Length: 32}); err == nil {
		t.Error("a machine is given something of what is lost")
	}
	<-tr.west.tier.Ready()
	if all := tr.west.tier.Delegations(); !slices.ContainsFunc(all, func(d ipam.Delegation) bool { return d.Child == "west/a" && d.Prefix == had && !d.Leaving }) {
		t.Errorf("delegated are %v, want %s to be the zone's still", all, had)
	}

	if got := tr.a.state("pods").Lost; !slices.Equal(got, []netip.Prefix{had}) {
		t.Errorf("reported as lost are %v, want %s", got, had)
	}
	report, err := tr.a.tier.Audit(t.Context())
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != ipam.FoundLost || report.Findings[0].Prefix != had {
		t.Fatalf("the audit finds %v, %v, want only that %s is lost", report.Findings, err, had)
	}
	if done, err := tr.a.tier.Repair(t.Context(), report); err != nil || len(done) != 1 {
		t.Errorf("repairing: %v, %v, want one thing done", done, err)
	}
	if got := tr.a.has("ipclaim/n/static"); got != first {
		t.Errorf("after the repair the owner of %s has %s", first, got)
	}
	if got := tr.a.has("ipclaim/n/any"); got == first || !had.Overlaps(got) {
		t.Errorf("after the repair the other owner has %s, want another of %s", got, had)
	}
	await(t, "nothing is told of it any more", func() bool { return len(tr.global.state("pods").Problems) == 0 })
	tr.a.known("pods")
	tr.a.restart()
	tr.a.has("ipclaim/n/any")
	tr.check()
}

// TestLostRegion: a region that lost all gives zones nothing of what it had, and what it is given for another pool it gives from.
func TestLostRegion(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record())
	tr.a.holds("pods", 1)
	tr.west.holds("pods", 1)
	tr.west.known("pods")
	tr.a.cut() // a zone takes nothing from a parent that has lost what it had told
	tr.b.cut()
	tr.lose(tr.west)
	tr.west.join()
	await(t, "Global knows", func() bool { return len(tr.global.state("pods").Problems) == 1 })
	other := pods("10.1.0.0/16")
	other.Name = "other"
	tr.global.put(other.Record())
	tr.west.holds("other", 1)
	tr.west.tier.Demand("west/a", record.Demand{Pool: "pods", Region: "west", Zone: "a", Want: 2})
	report, err := tr.west.tier.Audit(t.Context()) // by when it has heard, and answered
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != ipam.FoundLost {
		t.Fatalf("the audit finds %v, %v, want only what is lost", report.Findings, err)
	}
	for _, d := range tr.west.tier.Delegations() {
		if d.Pool == "pods" {
			t.Errorf("%s is given %s of what is lost", d.Child, d.Prefix)
		}
	}
	if _, err := tr.west.tier.Repair(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	tr.west.holds("pods", 1)
}

// TestNotLost: a place that has its ledger still, or whose loss somebody has accepted, or that a parent gave to which knows no epochs,
// takes what it is given.
func TestNotLost(t *testing.T) {
	t.Run("restarted", func(t *testing.T) {
		tr := newTree(t)
		tr.global.put(pods("10.0.0.0/16").Record(), tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
		first := tr.a.has("ipclaim/n/1")
		tr.a.known("pods")
		tr.a.restart()
		if got := tr.a.has("ipclaim/n/1"); got != first {
			t.Errorf("after a restart it has %s, before %s", got, first)
		}
	})
	t.Run("no epoch", func(t *testing.T) {
		tr := newTree(t)
		tr.a.cut()
		tr.a.put(pods("10.0.0.0/16").Record(), record.Prefix{Pool: "pods", Region: "west", Zone: "a", Prefix: prefix("10.0.0.0/26")}.Record(),
			tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
		tr.a.has("ipclaim/n/1")
	})
	t.Run("another's epoch", func(t *testing.T) {
		tr := newTree(t)
		tr.a.cut()
		tr.a.put(pods("10.0.0.0/16").Record(), record.Prefix{Pool: "pods", Region: "west", Zone: "a", Prefix: prefix("10.0.0.0/26"),
			Epoch: tr.a.epoch() + 2}.Record(), tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
		tr.a.refused("ipclaim/n/1", ipam.ReasonStoreSetBack)
	})
	t.Run("accepted", func(t *testing.T) {
		tr := newTree(t)
		tr.a.ledgers.Witness = t.TempDir() + "/witness"
		tr.a.restart()
		tr.global.put(pods("10.0.0.0/16").Record(), tr.a.claim("ipclaim/n/1", record.Claim{Pool: "pods"}))
		tr.a.has("ipclaim/n/1")
		tr.a.known("pods")
		before := tr.a.epoch()
		tr.a.cut()
		tr.a.stop()
		if _, err := tr.store.Client().Delete(t.Context(), tr.a.ledgers.Prefix+"/", clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Repair(t.Context(), tr.a.ledgers); err != nil {
			t.Fatal(err)
		}
		tr.a.start()
		tr.a.has("ipclaim/n/1")
		if !tr.a.ledger.Accepted(before) || tr.a.ledger.Accepted(tr.a.epoch()) {
			t.Error("the ledger does not know that its epoch before this one, and only that, was accepted to be lost")
		}
		tr.a.join()
		tr.a.known("pods")
	})
}
