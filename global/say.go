package global

import (
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// say is what a region may tell, by the key: how applications stand in it; how its own clusters are, how they are reached,
// and where applications are, of which the keeper of locations refuses what is of others' clusters; what address space it
// wants, for itself and its zones together, and what became of the claims for it and for its zones.
func say(s *store.Snapshot, region string, key record.Key) error {
	switch key.Kind {
	case record.KindHealth:
		return ownCluster(s, region, key.Name)
	case record.KindDemand:
		if r, z := key.Place(); r != region || z != "" {
			return children.Foreign("%s is not region %s's to tell: its name says region %q, zone %q", key, region, r, z)
		}
		return nil
	case record.KindAllotment:
		if r, _ := key.Place(); r != region {
			return children.Foreign("%s is not region %s's to tell: its name says region %q", key, region, r)
		}
		return nil
	}
	return children.Kinds(string(question.TierRegion), key, record.KindStatus, record.KindLocation, record.KindPlace)
}

// ownCluster refuses a cluster of another region. One that is not known, or no longer, may be anybody's.
func ownCluster(s *store.Snapshot, region, cluster string) error {
	if c, listed := children.ClusterOf(s, cluster); listed && c.Region != region {
		return children.Foreign("cluster %s is in region %s, not in %s", cluster, c.Region, region)
	}
	return nil
}

// sayStatus is what a region may tell of an application: how it stands in zones of its own, and problems there.
func sayStatus(s *store.Snapshot, region string, status record.Status) error {
	for _, l := range status.Lines {
		if l.Region != region {
			return children.Foreign("zone %s of region %q is not region %s's to tell of", l.Zone, l.Region, region)
		}
		if err := ownZone(s, region, l.Zone, status); err != nil {
			return err
		}
	}
	for _, p := range status.Problems {
		if err := ownZone(s, region, p.Zone, status); err != nil {
			return err
		}
		if err := ownCluster(s, region, p.Cluster); err != nil {
			return err
		}
	}
	return nil
}

// ownZone refuses a zone of another region: one in which the application is assigned to run there.
func ownZone(s *store.Snapshot, region, zone string, status record.Status) error {
	e, ok := s.Get(record.AssignmentKey(status.Namespace, status.Application, zone))
	if !ok {
		return nil
	}
	if a, err := record.DecodeAssignment(e.Record); err == nil && a.Region != region {
		return children.Foreign("zone %s is in region %s, not in %s", zone, a.Region, region)
	}
	return nil
}
