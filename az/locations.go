package az

import (
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/location"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// locate notes where an application is, as a cluster's agent says.
func (b *board) locate(s *site, r record.Record) error {
	l, err := record.DecodeLocation(r)
	if err != nil {
		return err
	}
	l.Zone, l.Region, l.Epoch, l.Sequence = s.zone, s.region, 0, 0
	s.located[r.Key] = l
	b.sayLocation(s, l)
	return nil
}

func (b *board) sayLocation(s *site, l record.Location) {
	b.tell(record.Standing{Cluster: s.cluster, Epoch: s.fence.Epoch, Fence: s.fence.Fence, Location: &l})
}

// takeAway takes back what was told of a location that the agent says is no more.
func (b *board) takeAway(s *site, key record.Key) {
	l, known := s.located[key]
	if !known {
		return
	}
	delete(s.located, key)
	if b.leader != nil {
		b.leader.unlocate(s.cluster, key)
		return
	}
	b.outbox.Edit(feed.Remove(locatedKey(l), record.CausePerson))
}

// locatedKey is the key of the standing that tells of a location.
func locatedKey(l record.Location) record.Key {
	return record.LocatedKey(l.Cluster, record.ServiceName(l.Namespace, l.Application), l.Chunk)
}

// noteLocation notes where an application is, as the cluster's owner says.
func (s *sums) noteLocation(c *testimony, l record.Location) {
	r := l.Record()
	c.located[r.Key] = struct{}{}
	s.locations.Take(l.Cluster, []*record.Record{&r}, nil)
	s.noteWhole(l.Cluster, c)
}

// unlocate drops a location that is no more, by the word of the cluster's own agent.
func (s *sums) unlocate(cluster string, key record.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocation(cluster, key)
}

func (s *sums) dropLocation(cluster string, key record.Key) {
	if c := s.clusters[cluster]; c != nil {
		delete(c.located, key)
		s.noteWhole(cluster, c)
	}
	s.locations.Take(cluster, nil, []feed.Removal{{Key: key, Cause: record.CausePerson}})
}

// notePresence hands on whether a cluster's agent is there, and whether all is known that it can say.
func (s *sums) notePresence(cluster string, c *testimony, connected bool) {
	s.locations.Connected(cluster, connected)
	c.whole = c.whole && connected && c.told
	s.noteWhole(cluster, c)
}

// noteWhole has what is not told of a cluster withdrawn, once as many locations as its agent told have come from its owner:
// they come in no particular order.
func (s *sums) noteWhole(cluster string, c *testimony) {
	if c.whole || !c.told || len(c.located) != c.locations {
		return
	}
	c.whole = true
	s.locations.Retain(cluster, cluster, func(key record.Key) bool { _, says := c.located[key]; return says })
	s.locations.Told(cluster)
}

// newLocations keeps the locations of the zone's clusters, for one term.
func (z *Zone) newLocations() *location.Keeper {
	n := &needs{zone: z.cfg.Zone}
	return location.New(location.Config{
		Child:  func(c record.Cluster) string { return c.Name },
		Own:    func(region, zone string) bool { return region == z.cfg.Region && zone == z.cfg.Zone },
		Grace:  z.cfg.Settle,
		Origin: &location.Origin{Needed: n.needed, Inventory: n.inventory, Place: placeOf},
	}, z.mirror, z.log)
}

// placeOf is how others find a cluster of the zone.
func placeOf(c record.Cluster) record.Place {
	p := record.Place{Cluster: c.Name, Region: c.Region, Zone: c.Zone, Network: c.Network, Gateways: c.Mesh.Gateway.Addresses,
		Primary: c.Mesh.Primary, Meshless: c.Mesh.Dataplane == string(v1alpha1.DataplaneNone)}
	if p.Primary == "" {
		p.Primary = c.Name
	}
	return p
}

// needs tells which locations are of use to anybody: those of applications that are bound to the cluster, and that others
// depend on which run in another zone, or under another istiod of this one.
type needs struct {
	zone string
	// several: the zone has several istiods.
	several bool
}

func (n *needs) needed(s *store.Snapshot, l record.Location) bool {
	if _, bound := s.Get(record.BindingKey(l.Namespace, l.Application, l.Cluster)); !bound {
		return false
	}
	e, ok := s.Get(record.AudienceKey(l.Namespace, l.Application))
	if !ok {
		return false
	}
	audience, err := record.DecodeAudience(e.Record)
	if err != nil {
		return false
	}
	for _, zone := range audience.Zones {
		if zone != n.zone || n.several {
			return true
		}
	}
	return false
}

// inventory notes what there is in the zone.
func (n *needs) inventory(s *store.Snapshot) {
	n.several = false
	first := ""
	for e := range s.All(record.KindCluster) {
		c, err := record.DecodeCluster(e.Record)
		if err != nil {
			continue
		}
		istiod := placeOf(c).Primary
		n.several = n.several || first != "" && istiod != first
		first = istiod
	}
}
