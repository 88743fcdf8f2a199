package global_test

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// wantLocation waits until a region holds, or lacks, what another said of shop/cart in a cluster, with its place.
func wantLocation(t *testing.T, r *region, cluster string, want int32, there bool) {
	t.Helper()
	eventually(t, "where shop/cart is", func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		rec, located := r.records[record.LocationKey("shop", "cart", cluster, "")]
		_, placed := r.records[record.PlaceKey(cluster)]
		switch {
		case located != there || placed != there:
			return "it is not known, or known still"
		case !there:
			return ""
		}
		if l, err := record.DecodeLocation(rec); err != nil || l.Total() != want {
			return "the count is another"
		}
		return ""
	})
}

// TestLocations takes locations from a region to the one that depends on them, through restarts of Global before and after the
// region that told them is back, and away. The region comes back without its store.
func TestLocations(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west, east := startRegion(t, "west", g), startRegion(t, "east", g)
	h.set(t, inventory...)
	h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: b2}, spec: {zone: west-b, network: net, environments: [prod]}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: Region, metadata: {name: east}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: Zone, metadata: {name: east-a}, spec: {region: east}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: e1}, spec: {zone: east-a, network: net, environments: [prod]}}`,
		application("cart", "cart:1", ", placement: {zones: {matchLabels: {meridian.dev/name: west-b}}}"),
		application("web", "web:1", ", dependsOn: [{name: cart}], placement: {regions: {matchLabels: {meridian.dev/name: east}}}"))
	wantAssigned(t, west, "shop/cart/west-b")
	wantAssigned(t, east, "shop/web/east-a")
	at := func(cluster, zone string, sequence uint64, ready int32) record.Record {
		return record.Location{Namespace: "shop", Application: "cart", Cluster: cluster, Zone: zone, Region: "west", Epoch: 5,
			Sequence: sequence, Ready: []record.Ready{{Endpoints: ready}}}.Record()
	}
	place := func(cluster, zone string) record.Record {
		return record.Place{Cluster: cluster, Zone: zone, Region: "west", Network: "net"}.Record()
	}
	outbox := west.outbox
	outbox.Edit(feed.Put(new(place("b1", "west-b"))), feed.Put(new(at("b1", "west-b", 1, 3))))
	wantLocation(t, east, "b1", 3, true)
	outbox.Edit(feed.Put(new(at("b1", "west-b", 2, 4))))
	wantLocation(t, east, "b1", 4, true)
	wantLocation(t, west, "b1", 0, false)

	restart := func() {
		t.Helper()
		for _, stop := range []func(){west.stop, east.stop, g.stop} {
			stop()
		}
		g = startGlobal(t, s, h)
		east = startRegion(t, "east", g)
	}
	restart()
	wantLocation(t, east, "b1", 4, true) // by what is stored alone
	west = startRegion(t, "west", g)     // it has lost its store, and knows of nothing yet
	west.outbox.Edit(feed.Put(new(place("b2", "west-b"))), feed.Put(new(at("b2", "west-b", 1, 1))))
	wantLocation(t, east, "b2", 1, true)
	wantLocation(t, east, "b1", 4, true) // of which it does not know all yet
	west.outbox.Edit(feed.Put(new(place("b1", "west-b"))))
	eventually(t, "shop/cart is no longer in b1", func() string {
		east.mu.Lock()
		defer east.mu.Unlock()
		if _, located := east.records[record.LocationKey("shop", "cart", "b1", "")]; located {
			return "it still is"
		}
		return ""
	})
}
