package global_test

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

// wantLocation waits until a region holds, or lacks, what another said of shop/cart in cluster b1, with its place.
func wantLocation(t *testing.T, r *region, want int32, there bool) {
	t.Helper()
	eventually(t, "where shop/cart is", func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		rec, located := r.records[record.LocationKey("shop", "cart", "b1", "")]
		_, placed := r.records[record.PlaceKey("b1")]
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
// region that told them is back, and away.
func TestLocations(t *testing.T) {
	h, s := startHub(t), mem.New()
	g := startGlobal(t, s, h)
	west, east := startRegion(t, "west", g), startRegion(t, "east", g)
	h.set(t, inventory...)
	h.set(t, `{apiVersion: meridian.dev/v1alpha1, kind: Region, metadata: {name: east}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: Zone, metadata: {name: east-a}, spec: {region: east}}`,
		`{apiVersion: meridian.dev/v1alpha1, kind: Cluster, metadata: {name: e1}, spec: {zone: east-a, network: net, environments: [prod]}}`,
		application("cart", "cart:1", ", placement: {zones: {matchLabels: {meridian.dev/name: west-b}}}"),
		application("web", "web:1", ", dependsOn: [{name: cart}], placement: {regions: {matchLabels: {meridian.dev/name: east}}}"))
	wantAssigned(t, west, "shop/cart/west-b")
	wantAssigned(t, east, "shop/web/east-a")
	at := func(sequence uint64, ready int32) record.Record {
		return record.Location{Namespace: "shop", Application: "cart", Cluster: "b1", Zone: "west-b", Region: "west", Epoch: 5,
			Sequence: sequence, Ready: []record.Ready{{Endpoints: ready}}}.Record()
	}
	outbox := west.outbox
	outbox.Edit(feed.Put(new(record.Place{Cluster: "b1", Zone: "west-b", Region: "west", Network: "net"}.Record())), feed.Put(new(at(1, 3))))
	wantLocation(t, east, 3, true)
	outbox.Edit(feed.Put(new(at(2, 4))))
	wantLocation(t, east, 4, true)
	wantLocation(t, west, 0, false)

	restart := func() {
		t.Helper()
		for _, stop := range []func(){west.stop, east.stop, g.stop} {
			stop()
		}
		g = startGlobal(t, s, h)
		east = startRegion(t, "east", g)
	}
	restart()
	wantLocation(t, east, 4, true) // by what is stored alone
	west = startRegion(t, "west", g)
	wantLocation(t, east, 0, false) // it is back, has told all, and that was nothing
}
