package global

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
)

// reports is what the regions say of applications and clusters. It is held in memory alone: regions tell it again when
// they connect. What a region said last stands while it is away.
type reports struct {
	mu       sync.Mutex
	statuses map[string]map[string]record.Status // by application, then region
	health   map[string]record.Health            // by cluster
	sessions map[string]session                  // by region
	// allotments are what became of claims, by key: as regions say, and of Global's own.
	allotments map[record.Key]record.Allotment
	demands    map[string]map[string]record.Demand // by region, then pool
}

// session is the state of one region's connection.
type session struct {
	connected bool
	// told says that, since this replica began to lead, the region has sent all that it had to say.
	told bool
}

func newReports() *reports {
	return &reports{statuses: map[string]map[string]record.Status{}, health: map[string]record.Health{},
		sessions: map[string]session{}, allotments: map[record.Key]record.Allotment{}, demands: map[string]map[string]record.Demand{}}
}

// begin begins a term: regions may have told another leader something else meanwhile, so all are to tell again.
func (r *reports) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for region, s := range r.sessions {
		s.told = false
		r.sessions[region] = s
	}
}

// take notes one record from a region, unless it tells of another one's by the records.
func (r *reports) take(records *store.Snapshot, region string, rec record.Record) error {
	switch rec.Key.Kind {
	case record.KindStatus:
		s, err := record.DecodeStatus(rec)
		if err != nil {
			return err
		}
		if err := sayStatus(records, region, s); err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.statuses[rec.Key.Name] == nil {
			r.statuses[rec.Key.Name] = map[string]record.Status{}
		}
		r.statuses[rec.Key.Name][region] = s
	case record.KindHealth:
		h, err := record.DecodeHealth(rec)
		if err != nil {
			return err
		}
		h.Region = region
		r.mu.Lock()
		defer r.mu.Unlock()
		r.health[h.Cluster] = h
	case record.KindAllotment:
		a, err := record.DecodeAllotment(rec)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if before := r.allotments[rec.Key]; a.Reason == ipam.ReasonStoreSetBack && !a.Prefix.IsValid() {
			a.Pool, a.Prefix = before.Pool, before.Prefix // it does not know what it gave
		}
		r.allotments[rec.Key] = a
	case record.KindDemand:
		d, err := record.DecodeDemand(rec)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.demands[region] == nil {
			r.demands[region] = map[string]record.Demand{}
		}
		r.demands[region][d.Pool] = d
	}
	return nil
}

// drop forgets what a region no longer reports.
func (r *reports) drop(region string, key record.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch key.Kind {
	case record.KindStatus:
		if delete(r.statuses[key.Name], region); len(r.statuses[key.Name]) == 0 {
			delete(r.statuses, key.Name)
		}
	case record.KindHealth:
		if r.health[key.Name].Region == region {
			delete(r.health, key.Name)
		}
	case record.KindAllotment:
		if of, _ := key.Place(); of == region {
			delete(r.allotments, key)
		}
	case record.KindDemand:
		delete(r.demands[region], poolOf(key))
	}
}

// poolOf is the pool of a demand's key.
func poolOf(key record.Key) string { return key.Name[strings.LastIndexByte(key.Name, '/')+1:] }

// ownerOf is the owner of a claim's or an allotment's key.
func ownerOf(key record.Key) string {
	parts := strings.SplitN(key.Name, "/", 3)
	return parts[len(parts)-1]
}

// allotment is what became of a claim, if that was told.
func (r *reports) allotment(claim record.Key) (record.Allotment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, told := r.allotments[record.Key{Kind: record.KindAllotment, Name: claim.Name}]
	return a, told
}

// granted is what a claim was given, if that was told and is what it asks for now: what it was given before may be all that was
// told yet.
func (r *reports) granted(claim record.Claim) (record.Allotment, bool) {
	a, told := r.allotment(claim.Record().Key)
	return a, told && a.Prefix.IsValid() && ipam.Meets(claim, a.Pool, a.Prefix)
}

// eachDemand calls each with what regions want.
func (r *reports) eachDemand(each func(region string, d record.Demand)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for region, demands := range r.demands {
		for _, d := range demands {
			each(region, d)
		}
	}
}

// forgetSpace drops what a region said of address space, and returns the keys of that.
func (r *reports) forgetSpace(region string) []record.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []record.Key
	for _, d := range r.demands[region] {
		out = append(out, d.Record().Key)
	}
	delete(r.demands, region)
	for key := range r.allotments {
		if of, _ := key.Place(); of == region {
			out = append(out, key)
			delete(r.allotments, key)
		}
	}
	return out
}

// taken is how many addresses of a pool somebody has in the regions, as these last told.
func (r *reports) taken(pool string) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum float64
	for _, demands := range r.demands {
		sum += demands[pool].Taken
	}
	return sum
}

// connected notes that a region's session began or ended.
func (r *reports) connected(region string, is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[region]
	s.connected = is
	r.sessions[region] = s
}

// told notes that a region has said all, and tells whether that is news.
func (r *reports) told(region string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[region]
	if s.told {
		return false
	}
	s.told = true
	r.sessions[region] = s
	return true
}

func (r *reports) session(region string) session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[region]
}

// status sums what all regions say of an application: zones sorted by name, the first few problems.
func (r *reports) status(app string) record.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out record.Status
	for _, region := range slices.Sorted(maps.Keys(r.statuses[app])) {
		s := r.statuses[app][region]
		out.Lines = append(out.Lines, s.Lines...)
		out.Problems = append(out.Problems, s.Problems...)
	}
	byZone := func(a, b record.Line) int { return strings.Compare(a.Zone, b.Zone) }
	if !slices.IsSortedFunc(out.Lines, byZone) { // as it is when one region alone speaks
		slices.SortStableFunc(out.Lines, byZone)
	}
	// Two regions may speak of a zone that moved.
	out.Lines = slices.CompactFunc(out.Lines, func(a, b record.Line) bool { return a.Zone == b.Zone })
	out.Problems = rollup.Problems(out.Problems)
	return out
}

// settled tells whether an application is ready in all zones of these assignments, at their revision, with as many
// replicas as they say unless it is scaled otherwise: a zone's last word may be of the fewer that it had before. The
// word of a region that has yet to tell all is of before.
func (r *reports) settled(desired map[string]record.Assignment, scaled bool) bool {
	for _, a := range desired {
		if !r.ready(a, scaled) {
			return false
		}
	}
	return len(desired) > 0
}

func (r *reports) ready(a record.Assignment, scaled bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sessions[a.Region].told {
		return false
	}
	for _, l := range r.statuses[record.ServiceName(a.Namespace, a.Application)][a.Region].Lines {
		if l.Zone == a.Zone {
			return lineConverged(l, a) && rollup.Ready(l.Counts) && (scaled || l.Desired >= a.Replicas)
		}
	}
	return false
}

// healthOf returns what is known of a cluster.
func (r *reports) healthOf(cluster string) record.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health[cluster]
}
