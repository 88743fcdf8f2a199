package location

import (
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// TestKeeper follows a zone's word to the store and up, through a loss of its session, and out again.
func TestKeeper(t *testing.T) {
	s := newTier(t)
	s.begin()
	s.keeper.Connected("a", true)
	s.tell("a", at("a1", "a"), app("a1", "a", 1, 3))
	s.keeper.Told("a")
	s.await("the location is stored", holds(app("a1", "a", 1, 3)))
	s.awaitTold("Global is told", app("a1", "a", 1, 3).Key, record.PlaceKey("a1"))

	if rejected := s.tell("a", app("a1", "a", 0, 9)); len(rejected) != 1 || rejected[0].Reason != "Late" {
		t.Errorf("a late copy: got %v, want it rejected", rejected)
	}
	if rejected := s.tell("a", record.New(record.PlaceKey("a1"), []byte{0xff})); len(rejected) != 1 {
		t.Errorf("a place that cannot be read: got %v, want it rejected", rejected)
	}
	for name, r := range map[string]record.Record{"location": app("a1", "a", 7, 9), "place": at("a1", "a")} {
		if rejected := s.tell("b", r); len(rejected) != 1 || rejected[0].Reason != "NotYours" {
			t.Errorf("another zone's word on a %s: got %v, want it rejected as not its own", name, rejected)
		}
	}
	s.keeper.Take("b", nil, []feed.Removal{{Key: app("a1", "a", 1, 3).Key, Cause: record.CausePerson}})
	s.tell("a", app("a1", "a", 8, 4))
	s.await("the zone's own word is stored", holds(app("a1", "a", 8, 4)))

	s.keeper.Connected("a", false)
	s.await("the place is stale", isStale("a1", true))
	if e, ok := s.mirror.Snapshot().Get(app("a1", "a", 8, 4).Key); !ok || e.Version != app("a1", "a", 8, 4).Version {
		t.Error("the location of a zone that is lost has changed")
	}
	s.keeper.Connected("a", true)
	s.tell("a", app("a1", "a", 9, 4))
	s.await("what it says is stored", holds(app("a1", "a", 9, 4)))
	if !isStale("a1", true)(s.mirror.Snapshot()) {
		t.Error("the place is no longer stale before the zone has told all")
	}
	s.keeper.Told("a")
	s.await("the place is as the zone says", holds(at("a1", "a")))

	s.keeper.Take("a", nil, []feed.Removal{{Key: app("a1", "a", 9, 4).Key, Cause: record.CausePerson}, {Key: record.PlaceKey("a1")}})
	s.await("the location is gone", lacks(app("a1", "a", 9, 4).Key))
	s.await("the place is gone", lacks(record.PlaceKey("a1")))
	s.awaitTold("Global is told nothing")
}

// TestRestart shows what stands after a restart: what is stored, until the zone that speaks for it has told all.
func TestRestart(t *testing.T) {
	s := newTier(t)
	s.bothTell()
	s.begin()
	s.await("a place of a zone that does not come back is stale", isStale("b1", true))
	s.keeper.Connected("a", true)
	if rejected := s.tell("a", app("a1", "a", 0, 7)); len(rejected) != 1 || rejected[0].Reason != "Late" {
		t.Errorf("a word of before what is stored: got %v, want it rejected", rejected)
	}
	s.keeper.Told("b") // which is not there
	s.tell("a", record.Location{Namespace: "n", Application: "other", Cluster: "a1", Zone: "a", Region: "west", Sequence: 5}.Record())
	s.await("another location is stored", func(s *store.Snapshot) bool { return !lacks(record.LocationKey("n", "other", "a1", ""))(s) })
	for _, want := range []record.Record{app("a1", "a", 1, 3), app("b1", "b", 1, 3)} {
		if !holds(want)(s.mirror.Snapshot()) {
			t.Errorf("%s does not stand", want.Key)
		}
	}
	s.keeper.Told("a")
	s.tell("b", app("b1", "b", 2, 3))
	s.await("what comes after is stored", holds(app("b1", "b", 2, 3)))
	if lacks(record.PlaceKey("a1"))(s.mirror.Snapshot()) {
		t.Error("a place is gone at which there are locations")
	}
	if !holds(app("a1", "a", 1, 3))(s.mirror.Snapshot()) {
		t.Error("a location is gone that a told late")
	}
	s.begin()
	s.keeper.Connected("a", true)
	s.keeper.Told("a")
	s.await("what a does not tell is gone", lacks(app("a1", "a", 1, 3).Key))
	s.await("and its place", lacks(record.PlaceKey("a1")))
	if !holds(app("b1", "b", 2, 3))(s.mirror.Snapshot()) {
		t.Error("what b told has gone with what a did not")
	}
}

// TestLostStore has a zone of three clusters come back that has lost its store: of a cluster whose agent has not told it all,
// what it does not tell stands, and is stale; of one whose place it tells, it goes.
func TestLostStore(t *testing.T) {
	s := newTier(t)
	var lost []feed.Removal
	s.write(record.Assignment{Namespace: "n", Application: "app", Zone: "a", Region: "west"}.Record())
	for _, cluster := range []string{"a2", "a3"} {
		s.write(record.Cluster{Name: cluster, Region: "west", Zone: "a"}.Record())
	}
	s.bothTell()
	for _, cluster := range []string{"a1", "a2", "a3"} {
		s.tell("a", at(cluster, "a"), app(cluster, "a", 1, 3))
		lost = append(lost, feed.Removal{Key: record.PlaceKey(cluster)}, feed.Removal{Key: app(cluster, "a", 1, 3).Key})
	}
	s.await("all of a is stored", holds(app("a3", "a", 1, 3)))

	s.keeper.Connected("a", false)
	s.keeper.Connected("a", true)
	s.keeper.Take("a", nil, lost)
	s.keeper.Told("a")
	stand := func(what string, clusters ...string) {
		t.Helper()
		for _, cluster := range clusters {
			s.await(what+", the place is stale", isStale(cluster, true))
			if !holds(app(cluster, "a", 1, 3))(s.mirror.Snapshot()) {
				t.Errorf("%s, and what is in %s has gone", what, cluster)
			}
		}
	}
	stand("a knows nothing yet", "a1", "a2", "a3")
	s.tell("a", app("a1", "a", 2, 4))
	s.await("what the first agent told is stored", holds(app("a1", "a", 2, 4)))
	s.tell("a", at("a1", "a"))
	s.await("where all is known, the place is not stale", holds(at("a1", "a")))
	stand("a knows one cluster", "a2", "a3")
	s.tell("a", at("a2", "a"))
	s.await("what the second agent did not tell is gone", lacks(app("a2", "a", 1, 3).Key))
	s.await("its place is as the zone says", holds(at("a2", "a")))
	stand("a knows two clusters", "a3")
	s.write(record.Record{Key: record.AssignmentKey("n", "app", "a")})
	s.await("what the zone need not have is gone", lacks(app("a3", "a", 1, 3).Key))
}

// TestPlaceWaits has a zone tell of a cluster before it has told all: the parent above must not take what is not told yet for
// gone.
func TestPlaceWaits(t *testing.T) {
	s := newTier(t)
	s.begin()
	s.keeper.Connected("a", true)
	s.tell("a", at("a1", "a"), app("a1", "a", 1, 3))
	s.await("the location is stored", holds(app("a1", "a", 1, 3)))
	s.awaitTold("Global is told of the location alone", app("a1", "a", 1, 3).Key)
	s.keeper.Told("a")
	s.awaitTold("and of the place", app("a1", "a", 1, 3).Key, record.PlaceKey("a1"))
}

// TestSecondTerm has a replica lead twice, while another led and heard newer words between.
func TestSecondTerm(t *testing.T) {
	s := newTier(t)
	s.bothTell()
	s.keeper.Connected("a", false)
	s.await("the place of the zone that is away is stale", isStale("a1", true))
	s.stop()
	moved := record.Place{Cluster: "a1", Zone: "a", Region: "west", Network: "green"}.Record()
	later := record.Location{Namespace: "n", Application: "app", Cluster: "a1", Zone: "a", Region: "west", Epoch: 10, Sequence: 1}.Record()
	s.write(moved, later)
	s.await("the other's words are stored", holds(moved))
	s.keeper.Take("a", nil, []feed.Removal{{Key: later.Key, Cause: record.CausePerson}})

	began := time.Now()
	s.lead()
	s.await("the place of the zone that is still away is stale", isStale("a1", true))
	e, _ := s.mirror.Snapshot().Get(moved.Key)
	p, err := record.DecodePlace(e.Record)
	if err != nil || p.StaleSince.Before(began) || p.Network != "green" {
		t.Errorf("the place is %+v (%v), want that which was stored, stale since this term, of %v", p, err, began)
	}
	if !holds(later)(s.mirror.Snapshot()) {
		t.Error("the location is no longer what was stored")
	}
	s.keeper.Connected("a", true)
	s.tell("a", app("a1", "a", 2, 5))
	s.await("what it says in this term is stored", holds(app("a1", "a", 2, 5)))
	if p, ok := s.mirror.Snapshot().Get(moved.Key); !ok || holds(at("a1", "a"))(s.mirror.Snapshot()) {
		t.Errorf("the place is %v, want none of an earlier term before the zone has told all", p)
	}
	s.keeper.Told("a")
	s.await("what it told in sessions before counts", holds(at("a1", "a")))
	if !holds(app("b1", "b", 1, 3))(s.mirror.Snapshot()) || !holds(at("b1", "b"))(s.mirror.Snapshot()) {
		t.Error("what the zone told whose session has gone on does not stand")
	}
}

// TestAgain shows what becomes of keys whose write was not taken.
func TestAgain(t *testing.T) {
	dropped := touch{cause: record.CausePerson, dropped: true}
	tests := map[string]struct {
		since  func(*Keeper, record.Key)
		failed touch
		want   touch
	}{
		"nothing since":           {func(*Keeper, record.Key) {}, dropped, dropped},
		"the store changed":       {func(k *Keeper, key record.Key) { k.touch(key, record.CauseFound) }, dropped, dropped},
		"its child said another":  {func(k *Keeper, key record.Key) { k.Take("a", []*record.Record{new(app("a1", "a", 2, 1))}, nil) }, dropped, touch{}},
		"it was dropped only now": {func(k *Keeper, key record.Key) { k.dirty[key] = dropped }, touch{}, dropped},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newTier(t)
			k := New(Config{Child: zoneOfCluster}, s.mirror, nil)
			key := app("a1", "a", 1, 3).Key
			tt.since(k, key)
			k.again(map[record.Key]touch{key: tt.failed})
			if got := k.dirty[key]; got != tt.want {
				t.Errorf("the key is dirty with %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestClusterChanges shows which locations the tier that writes them first looks at when the record of a cluster changes.
func TestClusterChanges(t *testing.T) {
	was := record.Cluster{Name: "a1", Region: "west", Zone: "a", Network: "blue"}
	gateway, network, primary, zone := was, was, was, was
	gateway.Mesh.Gateway.Addresses = []string{"192.0.2.1"}
	network.Network, primary.Mesh.Primary, zone.Zone = "green", "b1", "b"
	tests := map[string]struct {
		is    record.Cluster
		fresh bool // there was none
		all   bool
	}{
		"another gateway": {is: gateway},
		"another network": {is: network, all: true},
		"another primary": {is: primary, all: true},
		"another zone":    {is: zone, all: true},
		"a new cluster":   {is: was, fresh: true, all: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newTier(t)
			s.write(app("a1", "a", 1, 3), app("b1", "b", 1, 3))
			s.await("the locations are stored", holds(app("b1", "b", 1, 3)))
			told := 0
			k := New(Config{Child: func(c record.Cluster) string { return c.Name },
				Origin: &Origin{Inventory: func(*store.Snapshot) { told++ }}}, s.mirror, nil)
			k.begin(s.mirror.Snapshot(), time.Now())
			clear(k.dirty)
			change := store.Change{Key: record.ClusterKey("a1"), New: &store.Entry{Record: tt.is.Record()}}
			if !tt.fresh {
				change.Old = &store.Entry{Record: was.Record()}
			}
			k.apply(store.Update{New: s.mirror.Snapshot(), Delta: store.Delta{Changes: []store.Change{change}}})
			_, own := k.dirty[app("a1", "a", 1, 3).Key]
			_, other := k.dirty[app("b1", "b", 1, 3).Key]
			if !own || other != tt.all || told != 2 {
				t.Errorf("looked at: its own: %v, another's: %v; told of the inventory %d times; want true, %v, 2", own, other, told, tt.all)
			}
		})
	}
}

// TestInventory moves a cluster to another zone, out of the region, and back.
func TestInventory(t *testing.T) {
	s := newTier(t)
	s.begin()
	s.keeper.Connected("a", true)
	s.keeper.Connected("b", true)
	s.tell("a", at("a1", "a"), app("a1", "a", 1, 3))
	s.await("the location is stored", holds(app("a1", "a", 1, 3)))
	s.keeper.Told("b")
	s.write(record.Cluster{Name: "a1", Region: "west", Zone: "b"}.Record())
	s.await("what the zone that it left said is gone", lacks(app("a1", "a", 1, 3).Key))
	s.tell("b", at("a1", "b"), app("a1", "b", 5, 2))
	s.await("what its new zone says is stored", holds(app("a1", "b", 5, 2)))
	s.write(record.Record{Key: record.ClusterKey("a1")})
	s.await("it has left the region", lacks(app("a1", "b", 5, 2).Key))
	s.await("with its place", lacks(record.PlaceKey("a1")))
	s.write(record.Cluster{Name: "a1", Region: "west", Zone: "b"}.Record())
	s.await("it is back", holds(app("a1", "b", 5, 2)))
	s.keeper.Forget("b")
	s.write(record.Record{Key: record.ClusterKey("a1")})
	s.await("its zone is gone", lacks(app("a1", "b", 5, 2).Key))
}

// TestForeign shows that what came from above is left alone.
func TestForeign(t *testing.T) {
	s := newTier(t)
	foreign := record.Location{Namespace: "n", Application: "app", Cluster: "x1", Zone: "x", Region: "east", Epoch: 1}.Record()
	s.write(foreign, record.Place{Cluster: "x1", Region: "east", Zone: "x"}.Record())
	s.begin()
	s.keeper.Connected("a", true)
	s.tell("a", at("a1", "a"), app("a1", "a", 1, 3), app("x1", "x", 9, 9))
	s.keeper.Told("a")
	s.await("the location is stored", holds(app("a1", "a", 1, 3)))
	s.awaitTold("Global is told of the region's own", app("a1", "a", 1, 3).Key, record.PlaceKey("a1"))
	if !holds(foreign)(s.mirror.Snapshot()) {
		t.Error("a location that came from above has changed")
	}
}

// TestExport shows what goes up as audiences and the inventory change.
func TestExport(t *testing.T) {
	s := newTier(t)
	here, place := app("a1", "a", 1, 3), record.PlaceKey("a1")
	s.write(at("a1", "a"), here)
	s.awaitTold("somebody outside depends on it", here.Key, place)
	s.write(record.Audience{Namespace: "n", Application: "app", Zones: []string{"a", "b"}}.Record())
	s.awaitTold("nobody outside depends on it", place)
	s.write(record.Record{Key: record.ClusterKey("b1")})
	s.awaitTold("a zone has left, and depends on it", here.Key, place)
	s.write(record.Record{Key: record.AudienceKey("n", "app")})
	s.awaitTold("nobody depends on it", place)
	s.write(record.Audience{Namespace: "n", Application: "app", Zones: []string{"far"}}.Record())
	s.awaitTold("somebody outside depends on it again", here.Key, place)
	s.write(record.Record{Key: here.Key})
	s.awaitTold("it runs nowhere", place)
	s.write(record.Record{Key: record.ClusterKey("a1")})
	s.awaitTold("its cluster has left")
}
