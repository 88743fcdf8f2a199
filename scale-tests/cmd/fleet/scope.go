package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// scopeFigures hold what children were sent, since they first connected, against what they need and against all that there
// is. Clusters, Zones and Regions are sums over all of a kind.
type scopeFigures struct {
	Clusters scopeSums `json:"clusters"`
	Zones    scopeSums `json:"zones"`
	Regions  scopeSums `json:"regions"`
	// EachCluster is of single clusters: the one that was sent the fewest bytes, the one in the middle, and the one that was
	// sent the most.
	EachCluster spread `json:"each_cluster"`
	// Dependents is how many applications call the most called one.
	Dependents int `json:"most_dependents"`
	// Links is the size of the call graph.
	Links int `json:"links"`
}

// scopeSums count records and their content.
type scopeSums struct {
	Sent       volume `json:"sent"`
	Needed     volume `json:"needed"`
	Everything volume `json:"everything"`
	// SentToNeeded and EverythingToSent compare the bytes.
	SentToNeeded     float64 `json:"sent_to_needed"`
	EverythingToSent float64 `json:"everything_to_sent"`
}

type volume struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

func (v *volume) add(o volume) { v.Records, v.Bytes = v.Records+o.Records, v.Bytes+o.Bytes }

func (v volume) times(n int) volume { return volume{v.Records * int64(n), v.Bytes * int64(n)} }

func (s *scopeSums) compare() {
	s.SentToNeeded = round(float64(s.Sent.Bytes) / float64(max(s.Needed.Bytes, 1)))
	s.EverythingToSent = round(float64(s.Everything.Bytes) / float64(max(s.Sent.Bytes, 1)))
}

type spread struct {
	Least  scopeSums `json:"least"`
	Median scopeSums `json:"median"`
	Most   scopeSums `json:"most"`
}

// runScope brings many applications with a heavy-tailed call graph to their clusters.
func runScope(ctx context.Context, f *federation) (result, error) {
	r := result{Scenario: scopeName, sizes: f.sizes(f.o.scopeApplications), Scope: &scopeFigures{}}
	apps := workload("app", f.o.scopeApplications, f.topo.slices, rand.New(rand.NewPCG(f.o.seed, 3)))
	f.journal.record(false)
	profiled := f.profile(ctx, "scope")
	load, changes, err := f.load(ctx, apps)
	if err != nil {
		return r, err
	}
	arrivals, _ := f.journal.stop()
	var missing int
	if r.took, missing = staleness(changes, arrivals, f.clusters); missing > 0 {
		return r, fmt.Errorf("%d arrivals were not seen", missing)
	}
	r.percentiles, r.cost = percentilesOf(r.took), load.cost
	if err := profiled(); err != nil {
		return r, err
	}
	now, err := f.metrics(ctx)
	if err != nil {
		return r, err
	}
	if err := f.compareScopes(ctx, r.Scope, apps, now); err != nil {
		return r, err
	}
	if r.Idle, err = f.idle(ctx); err != nil {
		return r, err
	}
	return r, nil
}

func (f *federation) compareScopes(ctx context.Context, s *scopeFigures, apps []*application, now counters) error {
	sent := func(tier string) volume {
		of := func(w string) bool { return f.tierOf(w) == tier }
		counted := func(name string) int64 { return int64(now.sum(of, name, linkChildren)) }
		return volume{counted("meridian_feed_records_sent_total"), counted("meridian_feed_sent_bytes_total")}
	}
	s.Regions.Sent, s.Zones.Sent, s.Clusters.Sent = sent(tierGlobal), sent(tierRegions), sent(tierZones)
	each, err := f.eachCluster(apps)
	if err != nil {
		return err
	}
	s.EachCluster = spread{each[0], each[len(each)/2], each[len(each)-1]}
	for _, c := range each {
		s.Clusters.Needed.add(c.Needed)
		s.Clusters.Everything.add(c.Everything)
	}
	if err := f.needOfTiers(ctx, s, apps); err != nil {
		return err
	}
	for _, sums := range []*scopeSums{&s.Clusters, &s.Zones, &s.Regions} {
		sums.compare()
	}
	called := map[string]int{}
	for _, a := range apps {
		s.Links += len(a.dependencies)
		for _, d := range a.dependencies {
			called[d]++
			s.Dependents = max(s.Dependents, called[d])
		}
	}
	return nil
}

// eachCluster compiles every application, which gives the objects that each of its clusters should have, and asks the
// agents what they were sent. Clusters come in the order of the bytes sent.
func (f *federation) eachCluster(apps []*application) ([]scopeSums, error) {
	bySlice := make([]volume, f.topo.slices)
	var everything volume
	for _, a := range apps {
		objects, err := a.objects(f.topo.clusters[0], a.round)
		if err != nil {
			return nil, err
		}
		bySlice[a.slice].add(contentOf(objects))
		everything.add(contentOf(objects))
	}
	out := make([]scopeSums, len(f.topo.clusters))
	for i, c := range f.topo.clusters {
		objects, err := c.ground(apps)
		if err != nil {
			return nil, err
		}
		sums := scopeSums{Needed: contentOf(objects), Everything: contentOf(objects)}
		sums.Needed.add(bySlice[c.slice])
		sums.Everything.add(everything)
		sums.Sent.Records, sums.Sent.Bytes = f.agents[i].Received()
		sums.compare()
		out[i] = sums
	}
	slices.SortFunc(out, func(a, b scopeSums) int { return cmp.Compare(a.Sent.Bytes, b.Sent.Bytes) })
	return out, nil
}

func contentOf(objects []mesh.Object) (v volume) {
	for _, o := range objects {
		v.add(volume{1, int64(len(o.Record.Content))})
	}
	return v
}

// needOfTiers works out from the call graph which records each zone and each region needs. How large they are Global's
// store says.
func (f *federation) needOfTiers(ctx context.Context, s *scopeFigures, apps []*application) error {
	records, err := f.globalRecords(ctx)
	if err != nil {
		return err
	}
	var everything volume
	revisions := map[string]record.Key{}
	for key, size := range records {
		everything.add(volume{1, size})
		if parts := key.Parts(); key.Kind == record.KindRevision {
			revisions[parts[1]] = key
		}
	}
	s.Zones.Everything = everything.times(len(f.topo.zones()))
	s.Regions.Everything = everything.times(len(f.topo.regions()))
	bySlice := make([][]*application, f.topo.slices)
	for _, a := range apps {
		bySlice[a.slice] = append(bySlice[a.slice], a)
	}
	zones, regions := map[string]map[record.Key]bool{}, map[string]map[record.Key]bool{}
	for _, c := range f.topo.clusters {
		need(zones, c.zone, record.ClusterKey(c.name))
		need(regions, c.region, record.ClusterKey(c.name))
		for _, a := range bySlice[c.slice] {
			keys := []record.Key{revisions[a.name], record.AssignmentKey(namespace, a.name, c.zone), record.ServiceKey(namespace, a.name),
				record.PolicyKey(namespace, a.name)}
			if a.called {
				keys = append(keys, record.AudienceKey(namespace, a.name))
			}
			for _, d := range a.dependencies {
				keys = append(keys, record.ServiceKey(namespace, d), record.AudienceKey(namespace, d))
			}
			need(zones, c.zone, keys...)
			need(regions, c.region, keys...)
		}
	}
	s.Zones.Needed, err = volumeOf(zones, records)
	if err != nil {
		return err
	}
	s.Regions.Needed, err = volumeOf(regions, records)
	return err
}

func need(of map[string]map[record.Key]bool, child string, keys ...record.Key) {
	if of[child] == nil {
		of[child] = map[record.Key]bool{}
	}
	for _, key := range keys {
		of[child][key] = true
	}
}

func volumeOf(need map[string]map[record.Key]bool, sizes map[record.Key]int64) (volume, error) {
	var out volume
	for keys := range maps.Values(need) {
		for key := range keys {
			size, known := sizes[key]
			if !known {
				return out, fmt.Errorf("record %s should be at Global and is not", key)
			}
			out.add(volume{1, size})
		}
	}
	return out, nil
}

// globalRecords are the sizes of the records that Global has.
func (f *federation) globalRecords(ctx context.Context) (map[record.Key]int64, error) {
	s, err := f.openStore(nodeSpec{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	state, err := s.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading Global's records: %w", err)
	}
	out := make(map[record.Key]int64, len(state.Entries))
	for _, e := range state.Entries {
		out[e.Key] = int64(len(e.Content))
	}
	return out, nil
}

// openStore opens the store of a node.
func (f *federation) openStore(n nodeSpec) (*etcd.Store, error) {
	return etcd.Dial(etcd.Config{Endpoints: []string{"http://" + f.workers["global"].spec.Etcd}, Prefix: storePrefix(n)})
}
