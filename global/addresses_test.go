package global

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
	"github.com/meridian-federation/meridian/ipam"
)

// heldSpace is what of pools is taken, in memory.
type heldSpace struct {
	entries map[string][]holder // by pool
	empty   map[string]bool
	asked   []string // the pools of which Holders was asked
}

func (s *heldSpace) Holders(_ context.Context, pool string, p netip.Prefix, limit int) (out []holder, _ error) {
	s.asked = append(s.asked, pool)
	for _, h := range s.entries[pool] {
		if h.prefix.Overlaps(p) && len(out) < limit {
			out = append(out, h)
		}
	}
	return out, nil
}

func (s *heldSpace) Empty(pool string, _ int64, _ netip.Prefix) bool { return s.empty[pool] }

// ipPool plays an IPPool that was created, or changed, in a second of its own.
func (d *desk) ipPool(name string, second int64, edit func(*v1alpha1.IPPoolSpec), cidrs ...string) {
	p := &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: metav1.Unix(second, 0)},
		Spec: v1alpha1.IPPoolSpec{Family: v1alpha1.IPv4, Purpose: v1alpha1.PurposeService}}
	for _, cidr := range cidrs {
		p.Spec.Ranges = append(p.Spec.Ranges, v1alpha1.IPRange{CIDR: cidr})
	}
	if edit != nil {
		edit(&p.Spec)
	}
	fill(d.hub.pools, []*v1alpha1.IPPool{p})
	d.queue.poolEvents().OnAdd(p, false)
}

func (d *desk) noIPPool(name string) {
	p := &v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_ = d.hub.pools.store.Delete(p)
	d.queue.poolEvents().OnDelete(p)
}

// ipClaim plays an IPClaim of namespace shop that was created.
func (d *desk) ipClaim(name string, spec v1alpha1.IPClaimSpec) {
	c := &v1alpha1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: 1, UID: "1"}, Spec: spec}
	fill(d.hub.ipclaims, []*v1alpha1.IPClaim{c})
	d.queue.ipClaimEvents().OnAdd(c, false)
}

func (d *desk) noIPClaim(name string, seen bool) {
	c := &v1alpha1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	_ = d.hub.ipclaims.store.Delete(c)
	if seen {
		d.queue.ipClaimEvents().OnDelete(c)
		return
	}
	d.queue.ipClaimEvents().OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/" + name, Obj: c})
}

// allot plays what a place says became of an owner's claim.
func (d *desk) allot(owner, prefix string) {
	d.t.Helper()
	claim, ok := d.asks.claims[owner]
	if !ok {
		d.t.Fatalf("%s has no claim", owner)
	}
	a := record.Allotment{Owner: owner, Region: claim.Region, Zone: claim.Zone, Pool: cmp.Or(claim.Pool, "given"), Prefix: netip.MustParsePrefix(prefix)}
	if err := d.reports.take(d.mirror.Snapshot(), claim.Region, a.Record()); err != nil {
		d.t.Fatal(err)
	}
	d.queue.add(func(w *work) { w.allotted[owner] = true })
}

// records are those of a kind that are in force.
func (d *desk) recordsOf(kind record.Kind) []string {
	var out []string
	for e := range d.mirror.Snapshot().All(kind) {
		out = append(out, e.Key.Name)
	}
	return out
}

func (d *desk) wantRecords(kind record.Kind, want ...string) {
	d.t.Helper()
	if got := d.recordsOf(kind); !slices.Equal(got, want) {
		d.t.Errorf("%s records are %v, want %v", kind, got, want)
	}
}

// poolRefused holds why an IPPool is not in force as it is, "" if it is.
func (d *desk) poolRefused(name, want string) {
	d.t.Helper()
	got := ""
	if r := d.pools.refused[name]; r != nil {
		got = r.reason + ": " + r.message
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		d.t.Errorf("pool %s is refused for %q, want %q", name, got, want)
	}
}

func (d *desk) ranges(pool string) string {
	var out []string
	for _, r := range d.pools.force[pool].Ranges {
		out = append(out, strings.TrimSuffix(fmt.Sprintf("%s %t", r.Prefix, r.Draining), " false"))
	}
	return strings.Join(out, ", ")
}

// TestPools takes pools through all that they can be refused for, and back.
func TestPools(t *testing.T) {
	d := newDesk(t, nil)
	held := &heldSpace{entries: map[string][]holder{}, empty: map[string]bool{}}
	d.space = held
	onNetwork := func(name string) func(*v1alpha1.IPPoolSpec) {
		return func(s *v1alpha1.IPPoolSpec) { s.Network = name }
	}
	d.ipPool("a", 2, nil, "10.0.0.0/16", "10.1.0.0/16")
	d.ipPool("b", 1, nil, "10.1.128.0/17")
	d.ipPool("x", 3, onNetwork("x"), "172.16.0.0/16")
	d.ipPool("y", 4, onNetwork("y"), "172.16.0.0/16")
	d.step()
	d.poolRefused("b", "")
	d.poolRefused("a", "PoolsOverlap: spec.ranges[1]: 10.1.0.0/16 of IPPool a overlaps 10.1.128.0/17 of IPPool b, for all clusters")
	d.wantRecords(record.KindPool, "b", "x", "y")
	t.Run("room appears", func(t *testing.T) {
		d.ipPool("b", 1, nil, "10.2.0.0/16")
		d.step()
		d.poolRefused("b", "Pending: 10.1.128.0/17 is being closed")
		if got, want := d.ranges("b"), "10.1.128.0/17 true, 10.2.0.0/16"; got != want {
			t.Errorf("b has %s, want %s", got, want)
		}
		d.poolRefused("a", "overlaps 10.1.128.0/17 of IPPool b")
		held.empty["b"] = true
		d.queue.add(func(w *work) { w.freed["b"] = true })
		d.step()
		held.empty["b"] = false
		d.poolRefused("b", "")
		d.poolRefused("a", "")
	})
	t.Run("a pool for all clusters is for each network's", func(t *testing.T) {
		d.ipPool("c", 5, nil, "172.16.1.0/24")
		d.step()
		d.poolRefused("c", "overlaps 172.16.0.0/16 of IPPool x, for clusters of network x")
	})
	t.Run("an older one does not take what a younger one has", func(t *testing.T) {
		d.ipPool("b", 1, nil, "10.2.0.0/16", "10.0.0.0/24")
		d.step()
		d.poolRefused("b", "overlaps 10.0.0.0/16 of IPPool a")
		if got, want := d.ranges("b"), "10.2.0.0/16"; got != want {
			t.Errorf("b has %s, want %s as before", got, want)
		}
	})
	t.Run("what is taken stays", func(t *testing.T) {
		held.entries["a"] = []holder{{"ipclaim/shop/db", netip.MustParsePrefix("10.1.2.0/24")}, {"delegated/w/a/0", netip.MustParsePrefix("10.1.64.0/18")}}
		d.ipPool("a", 2, nil, "10.0.0.0/16")
		d.step()
		d.poolRefused("a", "InUse: 10.1.0.0/16 is in use by delegated/w/a/0 (10.1.64.0/18), ipclaim/shop/db (10.1.2.0/24)")
		if got, want := d.ranges("a"), "10.0.0.0/16, 10.1.0.0/16 true"; got != want {
			t.Errorf("a has %s, want %s", got, want)
		}
		d.ipPool("a", 2, func(s *v1alpha1.IPPoolSpec) { s.Reserved = []string{"10.1.2.128/25"} }, "10.0.0.0/16", "10.1.0.0/16")
		d.step()
		d.poolRefused("a", "InUse: 10.1.2.128/25 is in use by ipclaim/shop/db (10.1.2.0/24)")
	})
	t.Run("until it is released", func(t *testing.T) {
		d.ipPool("a", 2, nil, "10.0.0.0/16")
		d.step()
		d.poolRefused("a", "InUse")
		freed := func(pool string) {
			d.queue.add(func(w *work) { w.freed[pool] = true })
			d.step()
		}
		was := held.entries["a"]
		held.entries["a"] = nil
		freed("a")
		d.poolRefused("a", "Pending: 10.1.0.0/16 is being closed")
		held.entries["a"] = was // somebody was given something before it was closed
		freed("a")
		d.poolRefused("a", "InUse")
		d.ipPool("over", 9, nil, "10.1.0.0/24")
		d.step()
		d.poolRefused("over", "PoolsOverlap: spec.ranges[0]: 10.1.0.0/24 of IPPool over overlaps 10.1.0.0/16 of IPPool a")
		d.noIPPool("over")
		d.step()
		held.entries["a"], held.empty["a"], held.asked = nil, true, nil
		freed("b")
		d.poolRefused("a", "InUse")
		if len(held.asked) > 0 {
			t.Errorf("the ledger was asked of %v though nothing of them has changed", held.asked)
		}
		freed("a")
		held.empty["a"] = false
		d.poolRefused("a", "")
		if got, want := d.ranges("a"), "10.0.0.0/16"; got != want {
			t.Errorf("a has %s, want %s", got, want)
		}
	})
	t.Run("a range grows", func(t *testing.T) {
		held.entries["a"] = []holder{{"ipclaim/shop/db", netip.MustParsePrefix("10.0.2.0/24")}}
		d.ipPool("a", 2, nil, "10.0.0.0/15")
		d.step()
		d.poolRefused("a", "")
	})
	t.Run("a pool that is deleted drains before it goes", func(t *testing.T) {
		d.noIPPool("a")
		d.step()
		if got, want := d.ranges("a"), "10.0.0.0/15 true"; got != want {
			t.Errorf("a has %s, want %s", got, want)
		}
		d.queue.add(func(w *work) { w.freed[everyPool] = true })
		d.step()
		d.wantRecords(record.KindPool, "a", "b", "x", "y")
		held.empty["a"] = true
		d.queue.add(func(w *work) { w.freed[everyPool] = true })
		d.step()
		d.wantRecords(record.KindPool, "b", "x", "y")
	})
	t.Run("one of another family does not come before the one of its name has gone", func(t *testing.T) {
		d.ipPool("again", 8, nil, "10.8.0.0/16")
		d.step()
		d.ipPool("again", 9, func(s *v1alpha1.IPPoolSpec) { s.Family = v1alpha1.IPv6 }, "2001:db8::/32")
		d.step()
		d.poolRefused("again", "Pending: the IPPool again that was deleted is yet to give back its addresses")
		if got, want := d.ranges("again"), "10.8.0.0/16 true"; got != want {
			t.Errorf("it has %s, want %s", got, want)
		}
		held.empty["again"] = true
		d.queue.add(func(w *work) { w.freed["again"] = true })
		d.step()
		d.poolRefused("again", "")
		if got, want := d.ranges("again"), "2001:db8::/32"; got != want {
			t.Errorf("it has %s, want %s", got, want)
		}
		d.noIPPool("again")
		d.step()
		d.queue.add(func(w *work) { w.freed["again"] = true })
		d.step()
	})
	t.Run("in doubt about the hub none goes", func(t *testing.T) {
		d.guard.doubts(true)
		d.noIPPool("y")
		d.step()
		d.queue.add(func(w *work) { w.freed[everyPool] = true })
		d.step()
		if got, want := d.ranges("y"), "172.16.0.0/16"; got != want {
			t.Errorf("y has %s, want %s as before", got, want)
		}
		d.queue.add(func(w *work) { w.confirmed = true })
		d.step()
		if got, want := d.ranges("y"), "172.16.0.0/16 true"; got != want {
			t.Errorf("y has %s, want %s", got, want)
		}
		held.empty["y"] = true
		d.queue.add(func(w *work) { w.freed[everyPool] = true })
		d.step()
		d.wantRecords(record.KindPool, "b", "x")
	})
	t.Run("nothing is written anew after a restart", func(t *testing.T) {
		after := newDesk(t, d)
		after.space = held
		if wrote := after.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		after.poolRefused("c", "PoolsOverlap")
	})
	t.Run("while nobody knows what is taken nothing shrinks", func(t *testing.T) {
		after := newDesk(t, d)
		after.step()
		after.ipPool("b", 1, nil, "10.3.0.0/16", "10.0.0.0/24")
		after.step()
		after.poolRefused("b", "Pending: reading what is taken of 10.2.0.0/16: the ledger of addresses is not open")
	})
}

// TestAddressClaims takes IPClaims, applications and clusters to claims and back.
func TestAddressClaims(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{}
	d.ipPool("services", 1, nil, "10.0.0.0/16")
	d.ipClaim("late", v1alpha1.IPClaimSpec{Pool: "later", Zone: "w1"})
	d.ipClaim("static", v1alpha1.IPClaimSpec{Pool: "services", Prefix: "10.0.0.9"})
	d.ipClaim("six", v1alpha1.IPClaimSpec{Pool: "services", Prefix: "2001:db8::/64"})
	d.ipClaim("nowhere", v1alpha1.IPClaimSpec{Pool: "services", Zone: "n1"})
	d.put("web", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{} })
	d.step()
	refusedFor := func(owner, want string) {
		t.Helper()
		got := ""
		if r := d.board.addressing.asks[owner].refused; r != nil {
			got = r.reason + ": " + r.message
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s is refused for %q, want %q", owner, got, want)
		}
	}
	refusedFor("ipclaim/shop/late", "PoolNotFound: there is no accepted IPPool later")
	refusedFor("ipclaim/shop/six", "InvalidSpec: spec.prefix: 2001:db8::/64 is not of the family of IPPool services")
	refusedFor("ipclaim/shop/nowhere", "UnknownZone: spec.zone: there is no accepted Zone n1")
	d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/ipclaim/shop/static")
	if got, want := d.asks.claims["application/shop/web"], (record.Claim{Owner: "application/shop/web", Purpose: record.PurposeService, Length: 32}); got != want {
		t.Errorf("the application claims %+v, want %+v", got, want)
	}
	t.Run("a pool that comes", func(t *testing.T) {
		d.ipPool("later", 2, nil, "10.9.0.0/16")
		d.step()
		refusedFor("ipclaim/shop/late", "NotDelegated: IPPool later is not delegated to zones")
		length := int32(24)
		d.ipPool("later", 2, func(s *v1alpha1.IPPoolSpec) {
			s.Delegation = &v1alpha1.IPDelegation{RegionLength: 20, ZoneLength: &length}
		}, "10.9.0.0/16")
		d.step()
		refusedFor("ipclaim/shop/late", "")
		d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/ipclaim/shop/static", "w/w1/ipclaim/shop/late")
	})
	t.Run("a cluster", func(t *testing.T) {
		c, _ := d.hub.clusters.get("w2-0")
		c = c.DeepCopy()
		c.Spec.Addresses = &v1alpha1.ClusterAddresses{PodRange: &v1alpha1.PodRangeRequest{}, EastWest: &v1alpha1.GatewayAddressRequest{Pool: "later"}}
		c.Spec.Mesh.Gateway = &v1alpha1.EastWestGateway{}
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
		d.queue.clusterEvents().OnAdd(c, false)
		d.step()
		if got := d.inventory.clusters["w2-0"].Mesh.Gateway; got.Namespace == "" || len(got.Addresses) != 0 {
			t.Errorf("the gateway is %+v, want one with no address yet", got)
		}
		d.allot("cluster/w2-0/eastwest", "10.9.0.7/32")
		d.step()
		if got := d.inventory.clusters["w2-0"].Mesh.Gateway.Addresses; !slices.Equal(got, []string{"10.9.0.7"}) {
			t.Errorf("the gateway has addresses %v, want 10.9.0.7", got)
		}
		if got := d.asks.claims["cluster/w2-0/pods"]; got.Purpose != record.PurposePod || got.Network != "net" || got.Zone != "w2" || got.Region != "w" {
			t.Errorf("the pods' claim is %+v, want one of network net from zone w2", got)
		}
	})
	after := newDesk(t, d)
	t.Run("a restart keeps all", func(t *testing.T) {
		after.space = &heldSpace{}
		if wrote := after.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
		if got := after.inventory.clusters["w2-0"].Mesh.Gateway.Addresses; !slices.Equal(got, []string{"10.9.0.7"}) {
			t.Errorf("the gateway has addresses %v, want 10.9.0.7 though nobody told them again", got)
		}
	})
	t.Run("a store that is lost takes no gateway's address away, since the hub knows", func(t *testing.T) {
		c, _ := d.hub.clusters.get("w2-0")
		c = c.DeepCopy()
		c.Status.Addresses = []v1alpha1.ClusterAddress{{Name: "eastWest", Prefix: "10.9.0.7/32", Pool: "later"}}
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
		lost := newDesk(t, &desk{planner: d.planner, records: mem.New()})
		lost.space = &heldSpace{}
		lost.step()
		if got := lost.inventory.clusters["w2-0"].Mesh.Gateway.Addresses; !slices.Equal(got, []string{"10.9.0.7"}) {
			t.Errorf("the gateway has addresses %v, want 10.9.0.7 as before", got)
		}
	})
	d = after
	t.Run("deletion", func(t *testing.T) {
		d.noIPClaim("static", true)
		d.put("web", nil)
		d.step()
		c, _ := d.hub.clusters.get("w2-0")
		_ = d.hub.clusters.store.Delete(c)
		d.queue.clusterEvents().OnDelete(c)
		d.step()
		d.wantRecords(record.KindClaim, "w/w1/ipclaim/shop/late")
	})
	t.Run("one that is found missing goes by the guard", func(t *testing.T) {
		d.guard.doubts(true)
		d.noIPClaim("late", false)
		d.step()
		d.wantRecords(record.KindClaim, "w/w1/ipclaim/shop/late")
		d.queue.add(func(w *work) { w.confirmed = true })
		d.step()
		d.wantRecords(record.KindClaim)
	})
	t.Run("an application that is deleted", func(t *testing.T) {
		d.put("web", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{Family: v1alpha1.IPv6} })
		d.step()
		d.wantRecords(record.KindClaim, "-/-/application/shop/web")
		d.vanish("web")
		d.deleted("web", true)
		d.step()
		d.wantRecords(record.KindClaim)
	})
	t.Run("one that is planned twice in a round, since what it depends on comes in the same", func(t *testing.T) {
		address := func(s *v1alpha1.ApplicationSpec) {
			s.Address, s.DependsOn = &v1alpha1.AddressRequest{}, []v1alpha1.Dependency{{Name: "reviews"}}
		}
		d.put("page", address)
		d.put("reviews", nil)
		d.step()
		if got, want := d.dependsOn("shop/page"), []string{"shop/reviews"}; !slices.Equal(got, want) {
			t.Errorf("it depends on %v, want %v", got, want)
		}
		d.wantRecords(record.KindClaim, "-/-/application/shop/page")
	})
	t.Run("what ends is for last, what begins is not", func(t *testing.T) {
		moved := record.Claim{Owner: "ipclaim/shop/moved", Zone: "w1", Region: "w"}
		d.asks.hold(moved)
		moved.Zone = "w2"
		d.asks.hold(moved)
		d.asks.end("application/shop/page", record.CausePerson)
		held, ended := d.asks.writes()
		if len(held) != 1 || held[0].Key != moved.Record().Key || len(ended) != 2 || !ended[0].Delete || !ended[1].Delete {
			t.Errorf("%v are held and %v ended, want the claim of w2, and those of w1 and of the application", held, ended)
		}
		if held, ended = d.asks.writes(); len(held)+len(ended) > 0 {
			t.Errorf("%v and %v are written twice", held, ended)
		}
	})
}

// TestAddressQuota takes a tenant to the addresses that it may have, and back.
func TestAddressQuota(t *testing.T) {
	d := newTenants(t)
	d.space = &heldSpace{}
	ten := int64(10)
	d.quota("retail", "retail", func(s *v1alpha1.TenantQuotaSpec) { s.Addresses = &ten })
	d.ipPool("services", 1, nil, "10.0.0.0/16")
	length := int32(29)
	d.ipClaim("block", v1alpha1.IPClaimSpec{Pool: "services", Length: &length})
	d.put("web", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{} })
	d.step()
	d.ipClaim("second", v1alpha1.IPClaimSpec{Pool: "services"})
	d.step()
	d.ipClaim("third", v1alpha1.IPClaimSpec{Pool: "services"})
	d.put("api", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{} })
	d.step()
	used := func(want string) {
		t.Helper()
		s := d.board.quotas["retail"]
		if got := fmt.Sprintf("%d addresses, %d refused", s.used.Addresses, s.refused); got != want {
			t.Errorf("retail has %s, want %s", got, want)
		}
	}
	used("10 addresses, 2 refused")
	d.refusedFor("api", "QuotaExceeded: tenant retail may have 10 addresses (TenantQuota retail), has 10, and this asks for 1 more")
	if r := d.board.addressing.asks["ipclaim/shop/third"].refused; r == nil || !strings.Contains(r.message, "may have 10 addresses") {
		t.Errorf("the third claim is refused for %v, want its quota", r)
	}
	d.wantRecords(record.KindClaim, "-/-/application/shop/web", "-/-/ipclaim/shop/block", "-/-/ipclaim/shop/second")
	after := newDesk(t, d)
	t.Run("a restart counts the same", func(t *testing.T) {
		after.space = &heldSpace{}
		for namespace := range d.callers.tenancy.homes {
			after.queue.add(func(w *work) { w.namespaces[namespace] = true })
		}
		after.queue.add(func(w *work) { w.quotas["retail"] = true })
		for _, c := range d.hub.ipclaims.all() {
			after.queue.add(func(w *work) { w.ipclaims[c.Namespace+"/"+c.Name] = true })
		}
		if wrote := after.step(); wrote != 0 {
			t.Errorf("a restart wrote %d times", wrote)
		}
	})
	d = after
	used("10 addresses, 2 refused")
	t.Run("what nobody can count yet waits for a pool", func(t *testing.T) {
		d.ipClaim("pods", v1alpha1.IPClaimSpec{Purpose: v1alpha1.PurposePod})
		d.step()
		if r := d.board.addressing.asks["ipclaim/shop/pods"].refused; r == nil || r.reason != ipam.ReasonNoPool {
			t.Errorf("the claim is refused for %v, want no pool", r)
		}
		length := int32(24)
		d.ipPool("pods", 2, func(s *v1alpha1.IPPoolSpec) { s.Purpose, s.ClaimLength = v1alpha1.PurposePod, &length }, "10.64.0.0/16")
		d.step()
		if r := d.board.addressing.asks["ipclaim/shop/pods"].refused; r == nil || !strings.Contains(r.message, "asks for 256 more") {
			t.Errorf("the claim is refused for %v, want its quota", r)
		}
		if _, has := d.asks.claims["ipclaim/shop/pods"]; has {
			t.Error("it is in force")
		}
		d.noIPClaim("pods", true)
		d.step()
	})
	t.Run("room appears", func(t *testing.T) {
		d.noIPClaim("block", true)
		d.step()
		used("4 addresses, 0 refused")
		d.refusedFor("api", "")
	})
	t.Run("what is given counts, not what was asked", func(t *testing.T) {
		d.allot("ipclaim/shop/second", "10.0.0.0/28")
		d.step()
		used("19 addresses, 0 refused")
		s := d.board.quotas["retail"]
		if got, want := s.over(), "addresses: 19 used, limit 10"; !strings.HasPrefix(got, want) {
			t.Errorf("the quota says %q, want %q", got, want)
		}
	})
}

// TestRangesOverlap has clusters of one network report the same pods' addresses, and put that right.
func TestRangesOverlap(t *testing.T) {
	d := newDesk(t, nil)
	born := func(name string, second int64, network string) {
		c, _ := d.hub.clusters.get(name)
		c = c.DeepCopy()
		c.CreationTimestamp, c.Spec.Network = metav1.Unix(second, 0), network
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
		d.queue.clusterEvents().OnAdd(c, false)
	}
	born("w1-0", 2, "net")
	born("w2-0", 1, "net")
	fill(d.hub.networks, []*v1alpha1.Network{{ObjectMeta: metav1.ObjectMeta{Name: "net"}, Spec: v1alpha1.NetworkSpec{PodRanges: []string{"10.0.0.0/8"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "other"}}})
	networks := func(d *desk, want ...string) {
		t.Helper()
		d.step()
		var got []string
		for _, name := range []string{"w1-0", "w2-0"} {
			c := d.inventory.clusters[name]
			got = append(got, fmt.Sprint(c.Network, len(c.PodRanges)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("w1-0 and w2-0 are on %v, want %v", got, want)
		}
	}
	d.told("w")
	d.podsOf("w1-0", "10.1.0.0/16")
	d.podsOf("w2-0", "10.2.0.0/16")
	networks(d, "net1", "net1")

	d.podsOf("w2-0", "10.2.0.0/16", "10.1.4.0/24")
	networks(d, "net.w1-00", "net1")
	const both = "pods of cluster w1-0 have addresses of 10.1.0.0/16, and those of the older cluster w2-0 addresses of 10.1.4.0/24"
	if got := d.inventory.overlaps.apart["w1-0"]; !strings.Contains(got, both) || d.inventory.overlaps.apart["w2-0"] != "" {
		t.Errorf("set apart are %v, want w1-0", d.inventory.overlaps.apart)
	}
	if got := d.inventory.overlaps.networks["net"]; !strings.Contains(got, both) {
		t.Errorf("of the network is said %q", got)
	}
	t.Run("what IPAM gave counts", func(t *testing.T) {
		d.podsOf("w2-0", "10.2.0.0/16")
		networks(d, "net1", "net1")
		c, _ := d.hub.clusters.get("w2-0")
		c = c.DeepCopy()
		c.Spec.Addresses = &v1alpha1.ClusterAddresses{PodRange: &v1alpha1.PodRangeRequest{}}
		fill(d.hub.clusters, []*v1alpha1.Cluster{c})
		d.queue.clusterEvents().OnAdd(c, false)
		d.step()
		d.allot("cluster/w2-0/pods", "10.1.0.0/20")
		networks(d, "net.w1-00", "net1")
	})
	t.Run("networks joined by gateways may overlap", func(t *testing.T) {
		born("w1-0", 2, "other")
		networks(d, "other0", "net1")
		born("w1-0", 2, "net")
		networks(d, "net.w1-00", "net1")
	})
	t.Run("a restart forgets nothing", func(t *testing.T) {
		after := newDesk(t, d)
		after.inventory = d.inventory
		networks(after, "net.w1-00", "net1")
		after.podsOf("w1-0", "10.1.0.0/16")
		networks(after, "net.w1-00", "net1")
		after.podsOf("w2-0", "10.2.0.0/16")
		networks(after, "net.w1-00", "net1")
		after.told("w")
		networks(after, "net1", "net1")
	})
}

// TestPoolsOfNetworks has the ranges of pods come from pools where the Network has none of its own.
func TestPoolsOfNetworks(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{}
	d.step()
	pods := func(s *v1alpha1.IPPoolSpec) { s.Purpose, s.Network = v1alpha1.PurposePod, "net" }
	d.ipPool("pods", 1, pods, "10.1.0.0/16", "10.0.0.0/16")
	d.step()
	if got, want := d.inventory.clusters["w1-0"].PodRanges, []string{"10.0.0.0/16", "10.1.0.0/16"}; !slices.Equal(got, want) {
		t.Errorf("the cluster has pod ranges %v, want %v", got, want)
	}
	d.ipPool("pods", 1, pods, "10.1.0.0/16", "10.0.0.0/16", "10.2.0.0/16")
	d.step()
	if got := d.inventory.clusters["w1-0"].PodRanges; len(got) != 3 {
		t.Errorf("the cluster has pod ranges %v, want the new one too", got)
	}
}

// TestClaimStatus computes statuses of claims as places speak, fall silent and refuse.
func TestClaimStatus(t *testing.T) {
	d := newDesk(t, nil)
	d.space = &heldSpace{}
	d.ipClaim("db", v1alpha1.IPClaimSpec{Purpose: v1alpha1.PurposeService})
	d.step()
	status := func(d *desk) (v1alpha1.IPClaimStatus, string) {
		_, _, after := d.board.compute(ipClaimTarget("shop/db"))
		s := after.(v1alpha1.IPClaimStatus)
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionAllocated)
		return s, fmt.Sprintf("%s %s %s(%s): %s", s.Prefix, s.Address, c.Status, c.Reason, c.Message)
	}
	want := func(d *desk, want string) v1alpha1.IPClaimStatus {
		t.Helper()
		s, got := status(d)
		if got != want {
			t.Errorf("the status is %q, want %q", got, want)
		}
		return s
	}
	want(d, "  False(Pending): Global has not told yet what it gives")
	refused := record.Allotment{Owner: "ipclaim/shop/db", Reason: "PoolExhausted", Message: "all is taken"}
	if err := d.reports.take(nil, "", refused.Record()); err != nil {
		t.Fatal(err)
	}
	want(d, "  False(PoolExhausted): all is taken")
	d.allot("ipclaim/shop/db", "10.0.0.8/32")
	d.step()
	s := want(d, "10.0.0.8/32 10.0.0.8 True(Allocated): ")
	t.Run("an application", func(t *testing.T) {
		d.put("web", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{} })
		d.step()
		app, _ := d.hub.applications.get("shop/web")
		app.UID = "1"
		said := func() string {
			_, _, after := d.board.compute(applicationTarget("shop/web"))
			s := after.(v1alpha1.ApplicationStatus)
			return s.Address + " " + s.Message
		}
		if got, want := said(), " spec.address: Global has not told yet what it gives"; got != want {
			t.Errorf("the status says %q, want %q", got, want)
		}
		d.allot("application/shop/web", "10.0.0.9/32")
		d.step()
		if got, want := said(), "10.0.0.9 "; got != want {
			t.Errorf("the status says %q, want %q", got, want)
		}
	})
	t.Run("what was given for an earlier claim", func(t *testing.T) {
		d.put("moved", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{} })
		d.step()
		d.allot("application/shop/moved", "10.0.0.10/32")
		d.put("moved", func(s *v1alpha1.ApplicationSpec) { s.Address = &v1alpha1.AddressRequest{Family: v1alpha1.IPv6} })
		d.step()
		app, _ := d.hub.applications.get("shop/moved")
		app.UID, app.Status.Address = "1", "10.0.0.10"
		said := func(want string) {
			t.Helper()
			_, _, after := d.board.compute(applicationTarget("shop/moved"))
			s := after.(v1alpha1.ApplicationStatus)
			if got := s.Address + " " + s.Message; got != want {
				t.Errorf("the status says %q, want %q", got, want)
			}
		}
		said(" spec.address: Global has not told yet what it gives")
		d.allot("application/shop/moved", "2001:db8::1/128")
		said("2001:db8::1 ")
	})
	setBack := record.Allotment{Owner: "ipclaim/shop/db", Reason: ipam.ReasonStoreSetBack, Message: "it was set back"}
	t.Run("a place that does not know what it gave withdraws nothing", func(t *testing.T) {
		if err := d.reports.take(nil, "", setBack.Record()); err != nil {
			t.Fatal(err)
		}
		want(d, "10.0.0.8/32 10.0.0.8 False(StoreSetBack): it was set back")
		d.allot("ipclaim/shop/db", "10.0.0.8/32")
		want(d, "10.0.0.8/32 10.0.0.8 True(Allocated): ")
	})
	t.Run("silence withdraws nothing", func(t *testing.T) {
		c, _ := d.hub.ipclaims.get("shop/db")
		c = c.DeepCopy()
		c.Status = s
		fill(d.hub.ipclaims, []*v1alpha1.IPClaim{c})
		after := newDesk(t, d)
		after.space = &heldSpace{}
		after.queue.ipClaimEvents().OnAdd(c, true)
		after.step()
		want(after, "10.0.0.8/32 10.0.0.8 True(Allocated): ")
		if err := after.reports.take(nil, "", setBack.Record()); err != nil {
			t.Fatal(err)
		}
		want(after, "10.0.0.8/32 10.0.0.8 False(StoreSetBack): it was set back")
	})
}

// TestForgottenSpace shows that a region that is gone for good, and no other, is forgotten with all that it said of addresses.
func TestForgottenSpace(t *testing.T) {
	r := newReports()
	say := func(region string, rec record.Record) {
		t.Helper()
		if err := r.take(nil, region, rec); err != nil {
			t.Fatal(err)
		}
	}
	gone := record.Demand{Pool: "p", Region: "w", Want: 1, Taken: 5}.Record()
	given := record.Allotment{Owner: "ipclaim/shop/a", Region: "w", Zone: "w1", Pool: "p", Prefix: netip.MustParsePrefix("10.0.0.1/32")}.Record()
	kept := record.Allotment{Owner: "ipclaim/shop/b", Pool: "p", Prefix: netip.MustParsePrefix("10.0.0.2/32")}.Record()
	say("w", gone)
	say("w", given)
	say("", kept)
	say("e", record.Demand{Pool: "p", Region: "e", Want: 1, Taken: 3}.Record())
	keys := r.forgetSpace("w")
	if len(keys) != 2 || !slices.Contains(keys, gone.Key) || !slices.Contains(keys, given.Key) {
		t.Errorf("forgotten are %v, want %v and %v", keys, gone.Key, given.Key)
	}
	r.eachDemand(func(region string, _ record.Demand) {
		if region != "e" {
			t.Errorf("the demand of region %s is answered anew", region)
		}
	})
	if got := r.taken("p"); got != 3 {
		t.Errorf("%v addresses are taken in the regions, want 3", got)
	}
	if _, told := r.allotment(given.Key); told {
		t.Error("what the region gave is believed")
	}
	if _, told := r.allotment(kept.Key); !told {
		t.Error("what Global gave is forgotten")
	}
}

// TestPoolRecord holds the record of a pool with nothing but what is required.
func TestPoolRecord(t *testing.T) {
	got, err := poolRecord(&v1alpha1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1alpha1.IPPoolSpec{Family: v1alpha1.IPv6,
		Purpose: v1alpha1.PurposePod, Ranges: []v1alpha1.IPRange{{CIDR: "2001:DB8::/32"}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := record.Pool{Name: "p", Ranges: []record.Range{{Prefix: netip.MustParsePrefix("2001:db8::/32")}}, Purpose: record.PurposePod,
		ClaimLength: 128, LowWater: 20, HighWater: 60, Quarantine: 10 * time.Minute}
	if got.Record().Version != want.Record().Version {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
