package location

import (
	"context"
	"fmt"
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// Export keeps in the outbox to a tier's parent the places of its own clusters, and the locations there of applications that
// others depend on which are assigned outside of the tier. One loop owns it.
type Export struct {
	outbox *feed.Outbox
	ready  chan struct{}
	begun  bool
	// zones counts the tier's own clusters by zone.
	zones map[string]int
	// told are the locations in the outbox, by cluster.
	told map[string]map[record.Key]struct{}
}

// NewExport makes an export; Run it.
func NewExport(outbox *feed.Outbox) *Export {
	return &Export{outbox: outbox, ready: make(chan struct{}), zones: map[string]int{}, told: map[string]map[record.Key]struct{}{}}
}

// Ready is closed when all that the store held at first is in the outbox, which must not be complete before.
func (x *Export) Ready() <-chan struct{} { return x.ready }

// Run follows the mirror until ctx ends.
func (x *Export) Run(ctx context.Context, mirror *store.Mirror) error {
	sub := mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("following the mirror: %w", err)
		}
		x.apply(u)
		if !x.begun {
			x.begun = true
			close(x.ready)
		}
	}
}

// apply brings the outbox to an update.
func (x *Export) apply(u store.Update) {
	t := touched{}
	moved := false
	for _, c := range u.Changes {
		switch c.Key.Kind {
		case record.KindCluster:
			before, after := zoneOf(c.Old), zoneOf(c.New)
			if before != after {
				x.count(before, -1)
				x.count(after, 1)
				moved = true
			}
		case record.KindAudience:
			for e := range u.New.Prefix(record.KindLocation, c.Key.Name+"/") {
				t.add(e.Key, record.CauseScope)
			}
		case record.KindLocation, record.KindPlace:
			t.add(c.Key, c.Cause)
		}
	}
	if moved {
		x.all(u.New, t)
	}
	x.bring(u.New, t)
}

// touched are keys to look at, each with the cause for its removal.
type touched map[record.Key]record.Cause

func (t touched) add(key record.Key, cause record.Cause) { t[key] = max(t[key], cause) }

// count counts a cluster of a zone; one of none is none.
func (x *Export) count(zone string, by int) {
	if zone == "" {
		return
	}
	if x.zones[zone] += by; x.zones[zone] == 0 {
		delete(x.zones, zone)
	}
}

func zoneOf(e *store.Entry) string {
	if e == nil {
		return ""
	}
	c, err := record.DecodeCluster(e.Record)
	if err != nil {
		return ""
	}
	return c.Zone
}

// all touches everything: which clusters are the tier's own has changed, and what is outside of it.
func (x *Export) all(s *store.Snapshot, t touched) {
	for _, kind := range []record.Kind{record.KindLocation, record.KindPlace} {
		for e := range s.All(kind) {
			t.add(e.Key, record.CauseScope)
		}
	}
	for _, keys := range x.told {
		for key := range keys {
			t.add(key, record.CauseScope)
		}
	}
}

// bring brings the outbox what there is now of the touched keys. The place of a cluster, which says that all of its locations
// are told, goes after them.
func (x *Export) bring(s *store.Snapshot, t touched) {
	var locations, places []feed.Edit
	for key, cause := range t {
		e, there := s.Get(key)
		switch {
		case key.Kind == record.KindPlace && there && own(s, key):
			places = append(places, feed.Put(&e.Record))
		case key.Kind == record.KindPlace:
			places = append(places, feed.Remove(key, cause))
		case there && x.exported(s, key):
			enter(x.told, key.Site(), key)
			locations = append(locations, feed.Put(&e.Record))
		default:
			leave(x.told, key.Site(), key)
			locations = append(locations, feed.Remove(key, cause))
		}
	}
	x.outbox.Edit(append(locations, places...)...)
}

func own(s *store.Snapshot, key record.Key) bool {
	_, listed := s.Get(record.ClusterKey(key.Site()))
	return listed
}

// exported tells whether a location is one of the tier's own that somebody outside depends on.
func (x *Export) exported(s *store.Snapshot, key record.Key) bool {
	if !own(s, key) {
		return false
	}
	namespace, name, _ := strings.Cut(applicationOf(key), "/")
	e, ok := s.Get(record.AudienceKey(namespace, name))
	if !ok {
		return false
	}
	audience, err := record.DecodeAudience(e.Record)
	if err != nil {
		return false
	}
	for _, zone := range audience.Zones {
		if x.zones[zone] == 0 {
			return true
		}
	}
	return false
}
