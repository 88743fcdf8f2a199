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

// space is what the zones say of address space: their allotments go on to Global as they are, their demands to whoever
// allocates. It is held in memory and outlives terms; a zone that is silent is believed to want what it wanted. All methods
// may be called from several goroutines.
type space struct {
	region string
	outbox *feed.Outbox

	mu         sync.Mutex // guards all below
	allotments map[string]map[record.Key]struct{}
	demands    map[string]map[record.Key]record.Demand
	// told is what the region itself says, in the present term.
	told      map[record.Key]struct{}
	settled   bool
	allocator allocator // nil while there is none
}

func newSpace(region string, outbox *feed.Outbox) *space {
	return &space{region: region, outbox: outbox, allotments: map[string]map[record.Key]struct{}{},
		demands: map[string]map[record.Key]record.Demand{}, told: map[record.Key]struct{}{}}
}

// take notes what a zone says of address space; records of other kinds are passed over.
func (s *space) take(zone string, puts []*record.Record, removals []feed.Removal) (rejected []feed.Rejection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var edits []feed.Edit
	for _, r := range puts {
		edit, err := s.put(zone, r)
		if err != nil {
			rejected = append(rejected, children.Reject(*r, err))
			continue
		}
		edits = append(edits, edit...)
	}
	for _, r := range removals {
		edits = append(edits, s.remove(zone, r.Key, r.Cause)...)
	}
	s.outbox.Edit(edits...)
	return rejected
}

func (s *space) put(zone string, r *record.Record) ([]feed.Edit, error) {
	switch r.Key.Kind {
	case record.KindAllotment:
		if _, err := record.DecodeAllotment(*r); err != nil {
			return nil, err
		}
		enter(s.allotments, zone)[r.Key] = struct{}{}
		return []feed.Edit{feed.Put(r)}, nil
	case record.KindDemand:
		d, err := record.DecodeDemand(*r)
		if err != nil {
			return nil, err
		}
		enter(s.demands, zone)[r.Key] = d
		if s.allocator != nil {
			s.allocator.Demand(s.child(zone), d)
		}
	}
	return nil, nil
}

// remove drops what a zone says no more, if it said it.
func (s *space) remove(zone string, key record.Key, cause record.Cause) []feed.Edit {
	if _, said := s.demands[zone][key]; said {
		delete(s.demands[zone], key)
		if s.allocator != nil {
			s.allocator.Gone(s.child(zone), key)
		}
	}
	if _, said := s.allotments[zone][key]; said {
		delete(s.allotments[zone], key)
		return []feed.Edit{feed.Remove(key, cause)}
	}
	return nil
}

// forget drops all that a zone said: it is no longer in the region.
func (s *space) forget(zone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var edits []feed.Edit
	for key := range maps.Clone(s.allotments[zone]) {
		edits = append(edits, s.remove(zone, key, record.CauseScope)...)
	}
	for key := range maps.Clone(s.demands[zone]) {
		s.remove(zone, key, record.CauseScope)
	}
	delete(s.allotments, zone)
	delete(s.demands, zone)
	s.outbox.Edit(edits...)
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

// enter returns a zone's part of what zones say, made where there is none.
func enter[V any](of map[string]map[record.Key]V, zone string) map[record.Key]V {
	if of[zone] == nil {
		of[zone] = map[record.Key]V{}
	}
	return of[zone]
}
