package region

import (
	"maps"
	"slices"
	"sync"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// allocator is who hands address space on to the zones, for one term; *ipam.Tier is one.
type allocator interface {
	// Demand takes what a child, REGION/ZONE, wants of a pool and how it stands there; Gone that it says so no more.
	Demand(child string, d record.Demand)
	Gone(child string, key record.Key)
	// Settled says that all children have told all, or had their time to.
	Settled()
}

// space is what the zones want of address space, as whoever allocates is told it. It is held in memory and outlives terms; a
// zone that is silent is believed to want what it wanted. All methods may be called from several goroutines.
type space struct {
	region string
	outbox *feed.Outbox
	// holds is told whether a zone says that it holds prefixes.
	holds func(zone string, is bool)

	mu      sync.Mutex                              // guards all below
	demands map[string]map[record.Key]record.Demand // by zone
	// told is what the region itself says, in the present term.
	told      map[record.Key]struct{}
	settled   bool
	allocator allocator // nil while there is none
}

func newSpace(region string, outbox *feed.Outbox, holds func(zone string, is bool)) *space {
	return &space{region: region, outbox: outbox, holds: holds, demands: map[string]map[record.Key]record.Demand{}, told: map[record.Key]struct{}{}}
}

// take notes what a zone wants; records of other kinds are passed over.
func (s *space) take(zone string, puts []*record.Record, removals []feed.Removal) (rejected []feed.Rejection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range puts {
		if r.Key.Kind != record.KindDemand {
			continue
		}
		d, err := record.DecodeDemand(*r)
		if err != nil {
			rejected = append(rejected, children.Reject(*r, err))
			continue
		}
		if s.demands[zone] == nil {
			s.demands[zone] = map[record.Key]record.Demand{}
		}
		s.demands[zone][r.Key] = d
		if s.allocator != nil {
			s.allocator.Demand(s.child(zone), d)
		}
	}
	for _, r := range removals {
		s.remove(zone, r.Key)
	}
	s.holds(zone, s.has(zone))
	return rejected
}

// has tells whether a zone says that it holds prefixes.
func (s *space) has(zone string) bool {
	for _, d := range s.demands[zone] {
		if d.Addresses > 0 || len(d.Returned) > 0 {
			return true
		}
	}
	return false
}

// remove drops what a zone wants no more.
func (s *space) remove(zone string, key record.Key) {
	if _, said := s.demands[zone][key]; !said {
		return
	}
	delete(s.demands[zone], key)
	if s.allocator != nil {
		s.allocator.Gone(s.child(zone), key)
	}
}

// forget drops all that a zone said: it is no longer in the region.
func (s *space) forget(zone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.demands[zone] {
		s.remove(zone, key)
	}
	delete(s.demands, zone)
	s.holds(zone, false)
}

// settle notes that all zones have told all, or had their time to.
func (s *space) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return
	}
	s.settled = true
	if s.allocator != nil {
		s.allocator.Settled()
	}
}

// serve tells an allocator what the zones have said, and from now on what they say; nil is none.
func (s *space) serve(a allocator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allocator = a; a == nil {
		return
	}
	for _, zone := range slices.Sorted(maps.Keys(s.demands)) {
		for _, d := range s.demands[zone] {
			a.Demand(s.child(zone), d)
		}
	}
	if s.settled {
		a.Settled()
	}
}

// renew begins a term: what was told in the one before is to be told again, or no more.
func (s *space) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var edits []feed.Edit
	for key := range s.told {
		edits = append(edits, feed.Remove(key, record.CauseScope))
	}
	clear(s.told)
	s.outbox.Edit(edits...)
}

// tell has Global told what the region itself says of address space.
func (s *space) tell(r record.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[r.Key] = struct{}{}
	s.outbox.Edit(feed.Put(&r))
}

// untell takes it back.
func (s *space) untell(key record.Key, cause record.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, key)
	s.outbox.Edit(feed.Remove(key, cause))
}

func (s *space) child(zone string) string { return s.region + "/" + zone }
