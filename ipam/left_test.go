package ipam_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// machine takes an address for a machine of a place below, as that asks for it by gRPC.
func (p *place) machine(path string) ledger.Entry {
	p.t.Helper()
	var e ledger.Entry
	await(p.t, "a machine of "+path+" has an address", func() bool {
		var err error
		e, err = p.ledger.Allocate(p.t.Context(), ledger.Request{Owner: "local/" + path + "/region/x/vm", Pool: "pods", Length: 32})
		return err == nil
	})
	return e
}

// keeps tells whether a machine still has its address.
func (p *place) keeps(e ledger.Entry) bool {
	p.t.Helper()
	got, err := p.ledger.Get(p.t.Context(), e.Owner)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		p.t.Fatal(err)
	}
	return err == nil && got.Prefix == e.Prefix
}

// settle waits until the tier has looked at all that was written before.
func (p *place) settle(tr *tree, what string) {
	p.t.Helper()
	owner := "ipclaim/n/" + what
	tr.global.put(p.claim(owner, record.Claim{Pool: "nothing"}))
	p.refused(owner, ipam.ReasonPoolNotFound)
}

// findings are the kinds that an audit finds of an owner.
func (p *place) findings(owner string) (kinds []string) {
	p.t.Helper()
	report, err := p.tier.Audit(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Owner == owner {
			kinds = append(kinds, fmt.Sprintf("%s mendable=%t", f.Kind, f.Mendable))
		}
	}
	return kinds
}

// TestPlacesThatLeft: what machines had of a place that has left the inventory is released, into quarantine; and nothing while its
// records do not say that it has left, nor anything of another place.
func TestPlacesThatLeft(t *testing.T) {
	tr := newTree(t)
	pool := pods("10.0.0.0/16")
	pool.Quarantine = time.Hour
	clusters := map[string][]record.Record{} // by the place below that they are all of
	for name, at := range map[string][2]string{"a1": {"west", "a"}, "a2": {"west", "a"}, "b1": {"west", "b"}, "e1": {"east", "e"}} {
		r := record.Cluster{Name: name, Region: at[0], Zone: at[1]}.Record()
		tr.global.put(r)
		for _, path := range []string{"region/" + at[0], "region/" + at[0] + "/zone/" + at[1], "region/" + at[0] + "/zone/" + at[1] + "/cluster/" + name} {
			clusters[path] = append(clusters[path], r)
		}
	}
	tr.global.put(pool.Record())
	for _, tt := range []struct {
		name        string
		place       *place
		goes, stays string
	}{
		{"a cluster of a zone", tr.a, "region/west/zone/a/cluster/a1", "region/west/zone/a/cluster/a2"},
		{"a zone of a region", tr.west, "region/west/zone/a", "region/west/zone/b"},
		{"a region of Global", tr.global, "region/west", "region/east"},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted=%t", tt.name, restarted), func(t *testing.T) {
				p := tt.place
				grant := func(enrolled bool) {
					p.put(record.Grant{Path: tt.goes, Generation: 1, Enrolled: enrolled}.Record())
				}
				remove := func() {
					for _, r := range clusters[tt.goes] {
						tr.global.remove(r.Key)
						await(t, "the cluster is gone at "+p.name, func() bool {
							_, there := p.mirror.Snapshot().Get(r.Key)
							return !there
						})
					}
				}
				tr.global.put(clusters[tt.goes]...)
				p.remove(record.GrantKey(tt.goes))
				gone, other := p.machine(tt.goes), p.machine(tt.stays)
				kept := func(when string, findings string) {
					t.Helper()
					p.settle(tr, fmt.Sprintf("%s-%t", when, restarted))
					if !p.keeps(gone) || !p.keeps(other) {
						t.Fatalf("%s: %s has it: %t, %s: %t, want both", when, gone.Owner, p.keeps(gone), other.Owner, p.keeps(other))
					}
					if got := p.findings(gone.Owner); fmt.Sprint(got) != findings {
						t.Errorf("%s: an audit finds %v of %s, want %s", when, got, gone.Owner, findings)
					}
				}
				kept("there", "[]")
				grant(false)
				kept("revoked", "[]")
				p.remove(record.GrantKey(tt.goes))
				remove()
				kept("unknown", "["+ipam.FoundUnknownPlace+" mendable=false]")
				tr.global.put(clusters[tt.goes]...)
				p.settle(tr, fmt.Sprintf("back-%t", restarted))
				if restarted {
					p.stop()
				}
				grant(false)
				remove()
				if restarted {
					p.start()
				}
				await(t, gone.Owner+" has nothing", func() bool { return !p.keeps(gone) })
				if found, err := p.ledger.Find(t.Context(), gone.Prefix); err != nil || len(found) != 1 || found[0].Until.IsZero() {
					t.Errorf("of %s there is %v, %v, want it in quarantine", gone.Prefix, found, err)
				}
				if !p.keeps(other) {
					t.Errorf("%s was released as well", other.Owner)
				}
				if got := p.findings(other.Owner); len(got) > 0 {
					t.Errorf("an audit finds %v of %s", got, other.Owner)
				}
				tr.global.put(clusters[tt.goes]...)
				p.settle(tr, fmt.Sprintf("end-%t", restarted))
			})
		}
	}
}

// TestRepairOfPlacesThatLeft: what is found to be left over of a place that has left, a repair releases; not that of another.
func TestRepairOfPlacesThatLeft(t *testing.T) {
	tr := newTree(t)
	tr.global.put(pods("10.0.0.0/16").Record())
	const path = "region/west/zone/a/cluster/gone"
	tr.a.put(record.Grant{Path: path, Generation: 1}.Record())
	tr.a.settle(tr, "revoked")
	left, unknown := tr.a.machine(path), tr.a.machine("region/west/zone/a/cluster/unknown") // past what the Tier is told of
	report, err := tr.a.tier.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(tr.a.findings(left.Owner), tr.a.findings(unknown.Owner)), "[EntryWithoutPlace mendable=true] [UnknownPlace mendable=false]"; got != want {
		t.Errorf("an audit finds %s, want %s", got, want)
	}
	if _, err := tr.a.tier.Repair(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	if tr.a.keeps(left) || !tr.a.keeps(unknown) {
		t.Errorf("after a repair %s has it: %t, %s: %t, want only the second", left.Owner, tr.a.keeps(left), unknown.Owner, tr.a.keeps(unknown))
	}
}
