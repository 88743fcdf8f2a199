package az_test

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// audience is who depends on n/cart, with applications in these zones.
func audience(zones ...string) record.Record {
	return record.Audience{Namespace: "n", Application: "cart", Namespaces: []string{"n"}, Zones: zones}.Record()
}

// tell has an agent say how many endpoints of n/cart are ready.
func (z *zone) tell(cluster string, endpoints int32, chunks ...record.Location) {
	l := record.Location{Namespace: "n", Application: "cart", Cluster: cluster}
	if endpoints > 0 {
		l.Ready = []record.Ready{{Endpoints: endpoints}}
	}
	r := l.Record()
	edits := []feed.Edit{feed.Put(&r)}
	for _, c := range chunks {
		r := c.Record()
		edits = append(edits, feed.Put(&r))
	}
	z.agents[cluster].Outbox.Edit(edits...)
}

// place and located are the zone's last word on a cluster, and on n/cart in it; ok tells whether there is one.
func place(reports map[record.Key]record.Record, cluster string) (p record.Place, ok bool) {
	r, ok := reports[record.PlaceKey(cluster)]
	if ok {
		p, _ = record.DecodePlace(r)
	}
	return p, ok
}

func located(reports map[record.Key]record.Record, cluster, chunk string) (l record.Location, ok bool) {
	r, ok := reports[record.LocationKey("n", "cart", cluster, chunk)]
	if ok {
		l, _ = record.DecodeLocation(r)
	}
	return l, ok
}

func (z *zone) awaitReady(cluster string, want int32) (got record.Location) {
	z.t.Helper()
	z.parent.Await(z.t, "the count of endpoints", func(reports map[record.Key]record.Record) bool {
		l, ok := located(reports, cluster, "")
		got = l
		_, placed := place(reports, cluster)
		return ok && placed && l.Total() == want
	})
	return got
}

var cartApp = app{name: "cart", image: "cart:1", replicas: 2, placement: `{"mode":"Duplicated"}`}

// TestLocation follows what is ready of an application from the agent to the region, down to none and up again.
func TestLocation(t *testing.T) {
	z := newZone(t, "c1")
	gateway := cluster("c1")
	gateway.Network, gateway.Mesh.Gateway = "blue", record.Gateway{Addresses: []string{"192.0.2.1"}}
	z.parent.Put(gateway.Record(), audience("a", "b"))
	z.submit(cartApp)
	z.tell("c1", 2, record.Location{Namespace: "n", Application: "cart", Cluster: "c1", Chunk: "x1",
		Endpoints: []record.Endpoint{{Address: "10.0.0.1"}, {Address: "10.0.0.2"}}})
	first := z.awaitReady("c1", 2)
	if first.Zone != "a" || first.Region != "west" || first.Epoch == 0 || first.Sequence == 0 {
		t.Errorf("the location is %+v, want one of zone a in region west, with epoch and sequence", first)
	}
	z.parent.Await(t, "place and addresses", func(reports map[record.Key]record.Record) bool {
		p, _ := place(reports, "c1")
		l, _ := located(reports, "c1", "x1")
		return p.Network == "blue" && p.Zone == "a" && p.Region == "west" && p.Primary == "c1" && len(p.Gateways) == 1 &&
			p.StaleSince.IsZero() && len(l.Endpoints) == 2
	})

	z.agents["c1"].Outbox.Edit(feed.Remove(record.LocationKey("n", "cart", "c1", "x1"), record.CausePerson))
	z.tell("c1", 0)
	z.parent.Await(t, "the addresses are gone", func(reports map[record.Key]record.Record) bool {
		_, there := located(reports, "c1", "x1")
		return !there
	})
	if none := z.awaitReady("c1", 0); none.Epoch != first.Epoch || none.Sequence <= first.Sequence {
		t.Errorf("the sequence went from %d/%d to %d/%d, want a higher one", first.Epoch, first.Sequence, none.Epoch, none.Sequence)
	}
	z.tell("c1", 1)
	z.awaitReady("c1", 1)
}

// TestLocationUnneeded shows that where nobody elsewhere depends on an application, nothing is kept of where it is.
func TestLocationUnneeded(t *testing.T) {
	gone := func(reports map[record.Key]record.Record) bool {
		_, is := located(reports, "c1", "")
		return !is
	}
	tests := map[string]struct {
		end   feed.Edit
		begin feed.Edit
	}{
		"nobody elsewhere depends on it": {feed.Put(new(audience("a"))), feed.Put(new(audience("b")))},
		"nobody depends on it":           {feed.Remove(audience().Key, record.CausePerson), feed.Put(new(audience("b")))},
		"it is not assigned": {feed.Remove(record.AssignmentKey("n", "cart", "a"), record.CausePerson), func() feed.Edit {
			_, assignment := cartApp.records()
			return feed.Put(&assignment)
		}()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			z := newZone(t, "c1")
			z.parent.Put(audience("b"))
			z.submit(cartApp)
			z.tell("c1", 2)
			z.awaitReady("c1", 2)
			z.parent.Edit(tt.end)
			z.parent.Await(t, "its location is gone", gone)
			tiertest.Await(t, "from the store, too", func() bool {
				return !z.holds(record.KindLocation, "cart")
			})
			z.parent.Edit(tt.begin)
			z.awaitReady("c1", 2)
		})
	}
}

// TestLocationBetweenIstiods shows that a zone with several istiods keeps locations for itself, and tells nobody.
func TestLocationBetweenIstiods(t *testing.T) {
	z := newZone(t, "c1", "c2")
	z.parent.Put(audience("a"))
	z.submit(cartApp)
	z.tell("c1", 2)
	tiertest.Await(t, "the location is stored", func() bool {
		return z.holds(record.KindLocation, "cart/c1") && z.holds(record.KindPlace, "c1")
	})
	secondary := cluster("c2")
	secondary.Mesh.Primary = "c1"
	z.parent.Put(secondary.Record())
	tiertest.Await(t, "the location is gone", func() bool { return !z.holds(record.KindLocation, "cart/c1") })
	z.parent.Await(t, "the region knows of no location", func(reports map[record.Key]record.Record) bool {
		_, is := located(reports, "c1", "")
		return !is
	})
}

// TestLocationStale shows that a silent agent makes its place stale, that nothing is withdrawn, through a restart of the zone
// as well, and that what the agent no longer has goes when it is back and has told all.
func TestLocationStale(t *testing.T) {
	z := newZone(t, "c1")
	z.parent.Put(audience("b"))
	z.submit(cartApp)
	z.tell("c1", 2, record.Location{Namespace: "n", Application: "cart", Cluster: "c1", Chunk: "x1",
		Endpoints: []record.Endpoint{{Address: "10.0.0.1"}}})
	z.awaitReady("c1", 2)
	stale := func(want bool) func(reports map[record.Key]record.Record) bool {
		return func(reports map[record.Key]record.Record) bool {
			l, is := located(reports, "c1", "")
			p, placed := place(reports, "c1")
			return is && placed && l.Total() == 2 && p.StaleSince.IsZero() != want
		}
	}
	agent := z.agents["c1"]
	agent.Stop()
	z.parent.Await(t, "the place is stale", stale(true))
	z.stop()
	z.start()
	z.parent.AwaitInSync(t)
	z.parent.AwaitSession(t, "the zone has told all", func(s feed.Status) bool { return s.Heard })
	z.parent.Await(t, "the place is stale after a restart", stale(true))
	z.parent.Await(t, "the addresses stand", func(reports map[record.Key]record.Record) bool {
		_, there := located(reports, "c1", "x1")
		return there
	})
	agent.Outbox.Edit(feed.Remove(record.LocationKey("n", "cart", "c1", "x1"), record.CausePerson))
	agent.Start()
	z.parent.Await(t, "the place is not stale", stale(false))
	z.parent.Await(t, "the addresses are gone", func(reports map[record.Key]record.Record) bool {
		_, there := located(reports, "c1", "x1")
		return !there
	})
}
