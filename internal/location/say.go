package location

import (
	"fmt"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// Take notes what a child says, and returns what is not believed: records that cannot be read, late copies, and words on a
// cluster that another child speaks for. Records of other kinds are passed over.
func (k *Keeper) Take(name string, puts []*record.Record, removals []feed.Removal) (rejected []feed.Rejection) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range puts {
		if r.Key.Site() == "" {
			continue
		}
		if reason, err := k.put(name, *r); err != nil {
			rejected = append(rejected, feed.Rejection{Key: r.Key, Version: r.Version, Reason: reason, Message: err.Error()})
		}
	}
	for _, r := range removals {
		if r.Key.Site() == "" || !k.words.drop(r.Key, name) {
			continue
		}
		if speaker, listed := k.speaker(r.Key); !listed || speaker == name {
			k.dirty[r.Key] = touch{cause: r.Cause, dropped: true}
		}
	}
	k.signal()
	return rejected
}

func (k *Keeper) put(name string, r record.Record) (reason string, err error) {
	w := word{child: name, record: r, term: max(k.term, 1)}
	var region, zone string
	if w.location, region, zone, err = read(r); err != nil {
		return "InvalidRecord", err
	}
	if cluster, listed := k.cluster(k.mirror.Snapshot(), r.Key); listed {
		if speaker := k.cfg.Child(cluster); speaker != name {
			return feed.ReasonNotYours, fmt.Errorf("record %s: by the inventory %s alone speaks for cluster %s, and %s does not", r.Key,
				speaker, cluster.Name, name)
		}
		if k.cfg.Origin == nil && (region != cluster.Region || zone != cluster.Zone) {
			return feed.ReasonNotYours, fmt.Errorf("record %s: by the inventory cluster %s is in zone %s of region %s, not in zone %q of region %q",
				r.Key, cluster.Name, cluster.Zone, cluster.Region, zone, region)
		}
	}
	if r.Key.Kind == record.KindLocation {
		if was, ok := k.words.all[r.Key]; ok && w.location.Late(was.location) {
			return "Late", fmt.Errorf("record %s was said before the one that is here", r.Key)
		}
		if later, ok := k.later(w); ok {
			k.words.put(r.Key, later)
			return "Late", fmt.Errorf("record %s was said before the one that is stored", r.Key)
		}
	}
	if _, known := k.says(name, r.Key); r.Key.Kind == record.KindPlace && !known && k.child(name).told {
		k.touchCluster(r.Key.Site()) // what is not told of there is no longer awaited
	}
	k.words.put(r.Key, w)
	k.dirty[r.Key] = touch{}
	return "", nil
}

// read reads a location, or a place, of which only the region and the zone matter here.
func read(r record.Record) (l record.Location, region, zone string, err error) {
	if r.Key.Kind == record.KindPlace {
		p, err := record.DecodePlace(r)
		return l, p.Region, p.Zone, err
	}
	l, err = record.DecodeLocation(r)
	return l, l.Region, l.Zone, err
}

// speaker is the child that speaks for the cluster of a key; none where the inventory does not list the cluster.
func (k *Keeper) speaker(key record.Key) (child string, listed bool) {
	c, listed := k.cluster(k.mirror.Snapshot(), key)
	if !listed {
		return "", false
	}
	return k.cfg.Child(c), true
}

// later is what the store holds of a location where that was said after a child's word: as after a restart, when the words
// of before are not known. It stands in for the late word, since the child does have the location.
func (k *Keeper) later(w word) (stored word, ok bool) {
	if k.cfg.Origin != nil {
		return word{}, false
	}
	e, ok := k.mirror.Snapshot().Get(w.record.Key)
	if !ok {
		return word{}, false
	}
	held, err := record.DecodeLocation(e.Record)
	if err != nil || !w.location.Late(held) {
		return word{}, false
	}
	w.record, w.location = e.Record, held
	return w, true
}

// Retain drops what a child said once and no longer says.
func (k *Keeper) Retain(name, cluster string, says func(record.Key) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.words.byCluster[cluster] {
		if !says(key) && k.words.drop(key, name) {
			k.dirty[key] = touch{cause: record.CausePerson, dropped: true}
		}
	}
	k.signal()
}

// Connected notes that a child came or went.
func (k *Keeper) Connected(name string, is bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.child(name)
	if c.connected == is {
		return
	}
	c.connected, c.fresh = is, false
	switch {
	case !is:
		if c.lost.IsZero() {
			c.lost = time.Now()
		}
	case !c.stale:
		c.lost = time.Time{}
	}
	k.signal()
}

// Told notes that a child has told all in its present session: what it did not tell is not there.
func (k *Keeper) Told(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.child(name)
	if !c.connected || c.fresh {
		return
	}
	c.fresh, c.told, c.stale, c.lost = true, true, false, time.Time{}
	if k.cfg.Origin != nil {
		k.touchCluster(name)
	} else {
		k.touchAll(k.mirror.Snapshot(), func(cluster record.Cluster) bool { return k.cfg.Child(cluster) == name })
	}
	k.signal()
}

// Forget drops a child that is no longer one.
func (k *Keeper) Forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.children, name)
	for key, w := range k.words.all {
		if w.child == name {
			k.words.drop(key, name)
			k.dirty[key] = touch{cause: record.CauseScope}
		}
	}
	k.signal()
}

// child returns what is known of a child, with mu held; one that was never heard of has been away since now.
func (k *Keeper) child(name string) *child {
	c := k.children[name]
	if c == nil {
		c = &child{lost: time.Now()}
		k.children[name] = c
	}
	return c
}
