package location

import (
	"maps"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// begin begins a term, with mu held: what was told before it counts where the child's session has gone on. Somebody else
// may have led since the last term, and heard from a child that is away: what that said then is no news, and its absence
// counts from now.
func (k *Keeper) begin(s *store.Snapshot, now time.Time) {
	k.term++
	k.inventory(s)
	k.kept = map[string]map[record.Key]struct{}{}
	for _, c := range k.children {
		c.told, c.stale, c.lost = c.fresh, false, time.Time{}
		if !c.connected {
			c.lost = now
		}
	}
	if k.term > 1 {
		maps.DeleteFunc(k.dirty, func(key record.Key, _ touch) bool {
			c, own := k.cluster(s, key)
			return own && !k.child(k.cfg.Child(c)).told
		})
	}
	for e := range s.All(record.KindCluster) {
		if c, err := record.DecodeCluster(e.Record); err == nil {
			k.child(k.cfg.Child(c))
		}
	}
	for e := range s.All(record.KindLocation) {
		if _, own := k.cluster(s, e.Key); own {
			enter(k.kept, e.Key.Site(), e.Key)
		}
	}
	k.touchAll(s, func(c record.Cluster) bool { return k.cfg.Origin != nil || k.child(k.cfg.Child(c)).fresh })
	k.touchStrays(s, nil)
}

// touchAll touches all that is stored or said of some clusters, with mu held.
func (k *Keeper) touchAll(s *store.Snapshot, of func(record.Cluster) bool) {
	wanted := map[string]bool{}
	for e := range s.All(record.KindCluster) {
		if c, err := record.DecodeCluster(e.Record); err == nil && of(c) {
			wanted[c.Name] = true
			k.touchCluster(c.Name)
		}
	}
	for e := range s.All(record.KindLocation) {
		if wanted[e.Key.Site()] {
			k.touch(e.Key, record.CauseFound)
		}
	}
}

// touchCluster touches all that is kept or said of one cluster, with mu held.
func (k *Keeper) touchCluster(name string) {
	k.touch(record.PlaceKey(name), record.CauseFound)
	for _, keys := range []map[record.Key]struct{}{k.words.byCluster[name], k.kept[name]} {
		for key := range keys {
			k.touch(key, record.CauseFound)
		}
	}
}

// touchStrays touches what is stored of clusters that are not listed, and was the tier's own, with mu held.
func (k *Keeper) touchStrays(s *store.Snapshot, causes map[string]record.Cause) {
	for _, kind := range []record.Kind{record.KindLocation, record.KindPlace} {
		for e := range s.All(kind) {
			if _, listed := k.cluster(s, e.Key); !listed {
				k.touch(e.Key, causes[e.Key.Site()])
			}
		}
	}
}

func (k *Keeper) touch(key record.Key, cause record.Cause) {
	if _, already := k.dirty[key]; !already {
		k.dirty[key] = touch{cause: cause}
	}
}

// apply takes in changes of the store that bear on what is kept, with mu held.
func (k *Keeper) apply(u store.Update) {
	gone, listed := map[string]record.Cause{}, map[string]bool{}
	regrouped := false
	for _, c := range u.Changes {
		switch c.Key.Kind {
		case record.KindCluster:
			if c.New == nil {
				gone[c.Key.Name] = c.Cause
			} else {
				listed[c.Key.Name] = true
				regrouped = regrouped || k.cfg.Origin != nil && regroups(c)
			}
		case record.KindAudience:
			k.touchApplication(u.New, c.Key.Name)
			if c.New == nil {
				k.touchStored(u.New, c.Key.Name, c.Cause)
			}
		case record.KindAssignment:
			if p := c.Key.Parts(); c.New == nil && len(p) == 3 {
				k.touchStored(u.New, record.ServiceName(p[0], p[1]), c.Cause)
			}
		case record.KindBinding:
			if p := c.Key.Parts(); len(p) == 3 {
				k.touchApplication(u.New, record.ServiceName(p[0], p[1]))
			}
		}
	}
	if len(listed)+len(gone) > 0 {
		k.inventory(u.New)
	}
	if len(listed) > 0 {
		k.touchAll(u.New, func(c record.Cluster) bool { return regrouped || listed[c.Name] })
	}
	if len(gone) > 0 {
		k.touchStrays(u.New, gone)
	}
}

// regroups tells whether a cluster has changed in what the origin's need of other clusters' locations may hang on.
func regroups(c store.Change) bool {
	if c.Old == nil {
		return true
	}
	was, err := record.DecodeCluster(c.Old.Record)
	if err != nil {
		return true
	}
	is, err := record.DecodeCluster(c.New.Record)
	return err != nil || was.Zone != is.Zone || was.Mesh.Primary != is.Mesh.Primary || was.Network != is.Network
}

func (k *Keeper) inventory(s *store.Snapshot) {
	if k.cfg.Origin != nil {
		k.cfg.Origin.Inventory(s)
	}
}

// touchStored touches the locations of an application that a tier which relays them holds, with mu held.
func (k *Keeper) touchStored(s *store.Snapshot, app string, cause record.Cause) {
	if k.cfg.Origin != nil || app == "" {
		return
	}
	for e := range s.Prefix(record.KindLocation, app+"/") {
		k.touch(e.Key, cause)
	}
}

// touchApplication touches all locations of an application, where the tier decides whether they are needed.
func (k *Keeper) touchApplication(s *store.Snapshot, app string) {
	if k.cfg.Origin == nil {
		return
	}
	for key := range k.words.byApplication[app] {
		k.touch(key, record.CausePerson)
	}
	for e := range s.Prefix(record.KindLocation, app+"/") {
		if _, own := k.cluster(s, e.Key); own {
			k.touch(e.Key, record.CausePerson)
		}
	}
}

// age makes stale what has been without its child for the grace, and returns when the next is due; zero is never.
func (k *Keeper) age(now time.Time) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	late := map[string]bool{}
	for name, c := range k.children {
		if c.connected || c.stale {
			continue
		}
		if due := c.lost.Add(k.cfg.Grace); now.Before(due) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		c.stale, late[name] = true, true
	}
	if len(late) == 0 {
		return next
	}
	s := k.mirror.Snapshot()
	for e := range s.All(record.KindPlace) {
		if c, own := k.cluster(s, e.Key); own && late[k.cfg.Child(c)] {
			k.touch(e.Key, record.CauseFound)
		}
	}
	return next
}
