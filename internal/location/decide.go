package location

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// cluster is the tier's own cluster that a key is of.
func (k *Keeper) cluster(s *store.Snapshot, key record.Key) (record.Cluster, bool) {
	e, ok := s.Get(record.ClusterKey(key.Site()))
	if !ok {
		return record.Cluster{}, false
	}
	c, err := record.DecodeCluster(e.Record)
	return c, err == nil
}

// says is a child's word on a key, if there is one that counts: it was said in this term, or the child has told all in it.
func (k *Keeper) says(child string, key record.Key) (w word, ok bool) {
	w, ok = k.words.all[key]
	return w, ok && w.child == child && (w.term == k.term || k.child(child).told)
}

// decide turns touched keys into writes: places before the locations there, and after them when they go.
func (k *Keeper) decide(touched map[record.Key]touch) []store.Write {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.mirror.Snapshot()
	var writes []store.Write
	places := map[record.Key]touch{}
	for _, key := range slices.SortedFunc(maps.Keys(touched), record.Key.Compare) {
		if key.Kind == record.KindPlace {
			places[key] = touched[key]
			continue
		}
		w, ok := k.location(s, key, touched[key])
		if ok {
			writes = append(writes, w)
		}
		k.keep(s, key, w, ok)
	}
	for _, key := range slices.SortedFunc(maps.Keys(places), record.Key.Compare) {
		if w, ok := k.place(s, key, places[key]); ok {
			writes = append(writes, w)
		}
	}
	slices.SortStableFunc(writes, func(a, b store.Write) int { return cmp.Compare(turn(a), turn(b)) })
	return writes
}

func turn(w store.Write) int {
	switch {
	case w.Key.Kind == record.KindLocation:
		return 1
	case w.Delete:
		return 2
	default:
		return 0
	}
}

// keep notes whether the store will hold a location.
func (k *Keeper) keep(s *store.Snapshot, key record.Key, w store.Write, writes bool) {
	_, stays := s.Get(key)
	if writes {
		stays = !w.Delete
	}
	if stays {
		enter(k.kept, key.Site(), key)
	} else {
		leave(k.kept, key.Site(), key)
	}
}

// location decides what is to be stored under a location's key; ok is false where that is what is there.
func (k *Keeper) location(s *store.Snapshot, key record.Key, t touch) (w store.Write, ok bool) {
	stored, there := s.Get(key)
	var held record.Location
	if there {
		held, _ = record.DecodeLocation(stored.Record)
	}
	cluster, listed := k.cluster(s, key)
	if !listed {
		return remove(key, t.cause), there && k.cfg.Own(held.Region, held.Zone)
	}
	name := k.cfg.Child(cluster)
	said, speaks := k.says(name, key)
	switch {
	case speaks && k.cfg.Origin != nil:
		return k.original(s, said.location, held, there)
	case speaks:
		return store.Write{Record: said.record}, !there || stored.Version != said.record.Version && !said.location.Late(held)
	case k.awaited(s, name, held, t):
		return store.Write{}, false
	case t.dropped || k.child(name).told:
		return remove(key, k.withdrawal(t)), there
	case k.cfg.Origin != nil && there && !k.cfg.Origin.Needed(s, held):
		return remove(key, record.CausePerson), true
	default:
		return store.Write{}, false
	}
}

// awaited tells, in a tier that relays, whether a location that a child does not tell of is no sign that it is gone: the child
// does not tell the cluster's place either, so it does not know all of that cluster, as when its store was lost and the
// cluster's agent has not come back.
func (k *Keeper) awaited(s *store.Snapshot, name string, held record.Location, t touch) bool {
	if k.cfg.Origin != nil || t.dropped && t.cause != record.CauseFound {
		return false
	}
	_, known := k.says(name, record.PlaceKey(held.Cluster))
	_, assigned := s.Get(record.AssignmentKey(held.Namespace, held.Application, held.Zone))
	_, called := s.Get(record.AudienceKey(held.Namespace, held.Application))
	return !known && assigned && called
}

// withdrawal is the cause with which a location goes. Of the tier that writes locations it is positive knowledge.
func (k *Keeper) withdrawal(t touch) record.Cause {
	if k.cfg.Origin != nil {
		return record.CausePerson
	}
	return t.cause
}

// original decides what the tier that writes locations first stores: a location that says another than what is there is
// given the next sequence. That is the clock's milliseconds where those are higher, so that a store which was set back, or
// a location that was removed meanwhile, is no reason for what is said next to count as late.
func (k *Keeper) original(s *store.Snapshot, said, held record.Location, there bool) (w store.Write, ok bool) {
	if !k.cfg.Origin.Needed(s, said) {
		return remove(said.Record().Key, record.CausePerson), there
	}
	said.Epoch, said.Sequence = held.Epoch, held.Sequence
	r := said.Record()
	if there && r.Version == held.Record().Version {
		return store.Write{}, false
	}
	said.Epoch = s.Position().Epoch
	said.Sequence = max(held.Sequence+1, uint64(time.Now().UnixMilli()))
	return store.Write{Record: said.Record()}, true
}

// place decides what is to be stored under a place's key. A place is first written when the child has told all that there is
// of its cluster, and stays, also where nothing is ready there: whoever tells it knows all locations of the cluster.
func (k *Keeper) place(s *store.Snapshot, key record.Key, t touch) (w store.Write, ok bool) {
	stored, there := s.Get(key)
	var before record.Place
	if there {
		before, _ = record.DecodePlace(stored.Record)
	}
	cluster, listed := k.cluster(s, key)
	if !listed {
		return remove(key, t.cause), there && k.cfg.Own(before.Region, before.Zone)
	}
	c := k.child(k.cfg.Child(cluster))
	said, speaks := k.says(k.cfg.Child(cluster), key)
	var p record.Place
	switch {
	case !there && !c.told:
		return store.Write{}, false
	case k.cfg.Origin != nil:
		p = k.cfg.Origin.Place(cluster)
	case speaks:
		p, _ = record.DecodePlace(said.record)
	case (t.dropped || c.told) && len(k.kept[cluster.Name]) == 0:
		return remove(key, k.withdrawal(t)), there
	case !there:
		return store.Write{}, false
	default:
		p = before
		if c.told && p.StaleSince.IsZero() {
			p.StaleSince = time.Now() // what is there is awaited
		}
	}
	since := p.StaleSince
	if !c.fresh && !before.StaleSince.IsZero() {
		since = before.StaleSince
	}
	if c.stale && len(k.kept[cluster.Name]) > 0 && (since.IsZero() || c.lost.Before(since)) {
		since = c.lost
	}
	if speaks && since.Equal(p.StaleSince) {
		return store.Write{Record: said.record}, !there || stored.Version != said.record.Version
	}
	p.StaleSince = since
	r := p.Record()
	return store.Write{Record: r}, !there || stored.Version != r.Version
}

func remove(key record.Key, cause record.Cause) store.Write {
	return store.Write{Record: record.Record{Key: key}, Delete: true, Cause: cause}
}
