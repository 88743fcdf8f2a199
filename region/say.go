package region

import (
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// say is what a zone of a region may tell: how applications stand in it, of which the region notes that it was this zone; how
// its own clusters are, how they are reached, and where applications are, of which the keeper of locations refuses what is of
// others' clusters; what address space it wants, and what became of the claims for it. A cluster that the region does not know,
// or no longer, may be anybody's.
func say(s *store.Snapshot, region, zone string, key record.Key) error {
	switch key.Kind {
	case record.KindHealth:
		return own(s, zone, key.Name)
	case record.KindDemand, record.KindAllotment:
		if r, z := key.Place(); r != region || z != zone {
			return children.Foreign("%s is not zone %s of region %s's to tell: its name says %q, %q", key, zone, region, r, z)
		}
		return nil
	}
	return children.Kinds(string(question.TierZone), key, record.KindStatus, record.KindLocation, record.KindPlace)
}

// own refuses a cluster of another zone.
func own(s *store.Snapshot, zone, cluster string) error {
	if c, listed := children.ClusterOf(s, cluster); listed && c.Zone != zone {
		return children.Foreign("cluster %s is in zone %s, not in %s", cluster, c.Zone, zone)
	}
	return nil
}

// sayStatus is what a zone may tell of an application: problems in its own clusters alone.
func sayStatus(s *store.Snapshot, zone string, status record.Status) error {
	for _, p := range status.Problems {
		if p.Zone != "" && p.Zone != zone {
			return children.Foreign("a problem in zone %s is not zone %s's to tell", p.Zone, zone)
		}
		if p.Cluster == "" {
			continue
		}
		if err := own(s, zone, p.Cluster); err != nil {
			return err
		}
	}
	return nil
}
