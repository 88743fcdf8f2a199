package region

import (
	"maps"
	"slices"
	"sync"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
	"github.com/meridian-federation/meridian/internal/store"
)

// sums holds what the zones report and reports the sums. All methods may be called from several goroutines.
type sums struct {
	region string
	mirror *store.Mirror

	mu     sync.Mutex
	report *rollup.Report // guarded by mu, as all below
	// heard are the zones that, since the region started, have said all that they had to say.
	heard map[string]bool
	// health is by cluster, with the zone that reports it.
	health map[string]record.Health
}

func newSums(region string, mirror *store.Mirror, outbox *feed.Outbox) *sums {
	s := &sums{region: region, mirror: mirror, heard: map[string]bool{}, health: map[string]record.Health{}}
	s.report = rollup.NewReport(outbox, s.known)
	return s
}

// known tells, with mu held, whether every zone that an application is assigned to has spoken.
func (s *sums) known(app string) bool {
	for e := range s.mirror.Snapshot().Prefix(record.KindAssignment, app+"/") {
		parts := e.Key.Parts()
		if _, said := s.report.Table().Get(parts[len(parts)-1], app); !said || !s.heard[parts[len(parts)-1]] {
			return false
		}
	}
	return true
}

// open reports everything; zones that were not heard by now are not waited for.
func (s *sums) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Open()
}

// heardOf notes that a zone has said all, and tells whether nobody is left to wait for: every zone has.
func (s *sums) heardOf(zone string, all []string) (opened bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard[zone] {
		return s.report.Opened()
	}
	s.heard[zone] = true
	for _, app := range s.report.Table().Of(zone) {
		s.report.Publish(app)
	}
	if !slices.ContainsFunc(all, func(z string) bool { return !s.heard[z] }) {
		s.report.Open()
	}
	return s.report.Opened()
}

// take notes what a zone reports of applications and clusters.
func (s *sums) take(zone string, batch feed.Batch) []feed.Rejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rejected []feed.Rejection
	for _, r := range batch.Puts {
		if r.Key.Kind != record.KindHealth && r.Key.Kind != record.KindStatus {
			continue // where applications are, and address space, are not summed
		}
		if err := s.put(zone, *r); err != nil {
			rejected = append(rejected, children.Reject(*r, err))
		}
	}
	for _, r := range batch.Removals {
		s.remove(zone, r.Key)
	}
	return rejected
}

func (s *sums) put(zone string, r record.Record) error {
	if r.Key.Kind == record.KindHealth {
		h, err := record.DecodeHealth(r)
		if err != nil {
			return err
		}
		h.Zone, h.Region = zone, s.region
		s.health[h.Cluster] = h
		s.report.PutHealth(h)
		return nil
	}
	status, err := record.DecodeStatus(r)
	if err != nil {
		return err
	}
	if err := sayStatus(s.mirror.Snapshot(), zone, status); err != nil {
		return err
	}
	status.Lines = []record.Line{{Zone: zone, Region: s.region, Counts: status.Counts}}
	status.Workloads = nil
	for i := range status.Problems {
		status.Problems[i].Zone = zone
	}
	s.report.Put(zone, status)
	return nil
}

func (s *sums) remove(zone string, key record.Key) {
	switch key.Kind {
	case record.KindHealth:
		if s.health[key.Name].Zone == zone {
			delete(s.health, key.Name)
			s.report.RemoveHealth(key.Name)
		}
	case record.KindStatus:
		s.report.Remove(zone, key.Name)
	}
}

// forget drops all that a zone said: it is no longer in the region.
func (s *sums) forget(zone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.heard, zone)
	for _, app := range s.report.Table().Of(zone) {
		s.report.Remove(zone, app)
	}
	for _, cluster := range slices.Sorted(maps.Keys(s.health)) {
		s.remove(zone, record.HealthKey(cluster))
	}
}

// status is the sum of an application over the zones.
func (s *sums) status(app string) record.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, _ := s.report.Table().Merge(app)
	return sum
}

// nodes is the number of nodes in all clusters, as far as they are known.
func (s *sums) nodes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, h := range s.health {
		n += int(h.Nodes)
	}
	return n
}
