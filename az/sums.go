package az

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/location"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
	"github.com/meridian-federation/meridian/internal/store"
)

// sums is what the leader knows of all clusters of the zone, by the word of their owners, for one term. It reports the
// sums to the region, and tells the scheduler what that waits for. Of two owners of a cluster the one with the higher
// fence is believed, and a cluster's word stays until its next owner says another. All methods may be called from several
// goroutines.
type sums struct {
	mirror    *store.Mirror
	news      *news
	locations *location.Keeper
	// silentFor is that of this term.
	silentFor time.Duration

	// wake receives when a witness has come or gone.
	wake chan struct{}

	mu        sync.Mutex
	report    *rollup.Report        // guarded by mu, as is all below
	clusters  map[string]*testimony // by cluster
	witnesses map[string]*witness   // the other replicas, by ID
	counting  bool                  // the scheduler is told of numbers of nodes
}

// testimony is what the owner of one cluster said.
type testimony struct {
	fence  feed.Fence
	source string // the replica; empty is this one
	health *record.Health
	// replicas are those of the binding that the word on an application is about.
	replicas map[string]int32
	// located are the locations that the present owner told of; told: the cluster's agent is there and has told all, as many
	// locations as locations; whole: they have all come.
	located     map[record.Key]struct{}
	told, whole bool
	locations   int
}

// newSums reports into the outbox, which is incomplete until open: what the region remembers from before stays.
func newSums(mirror *store.Mirror, outbox *feed.Outbox, news *news, locations *location.Keeper, silentFor time.Duration) *sums {
	s := &sums{mirror: mirror, news: news, locations: locations, silentFor: silentFor, clusters: map[string]*testimony{}, witnesses: map[string]*witness{},
		wake: make(chan struct{}, 1)}
	s.report = rollup.NewReport(outbox, s.known)
	return s
}

// take takes in what another replica tells.
func (s *sums) take(source string, batch feed.Batch) []feed.Rejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	puts, rejected := children.Sift(batch.Puts, sayReplica)
	for _, r := range puts {
		st, err := record.DecodeStanding(*r)
		if err != nil {
			rejected = append(rejected, children.Reject(*r, err))
			continue
		}
		s.note(source, st)
	}
	for _, r := range batch.Removals {
		cluster, app, _ := strings.Cut(r.Key.Name, "/")
		where, isLocation := record.ParseLocatedKey(r.Key)
		switch c := s.clusters[cluster]; {
		case c == nil || c.source != source:
		case isLocation:
			if r.Cause == record.CausePerson { // else its owner let go of the cluster
				s.dropLocation(cluster, where)
			}
		case app == "":
			s.dropUnlisted(cluster)
		case r.Cause == record.CausePerson || !s.bound(cluster, app):
			s.drop(cluster, app)
		}
	}
	return rejected
}

// hear takes in what this replica knows of a cluster of its own.
func (s *sums) hear(st record.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("", st)
}

// forget drops the word on an application that a cluster no longer has.
func (s *sums) forget(cluster, app string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(cluster, app)
}

// released notes that this replica no longer owns a cluster.
func (s *sums) released(cluster string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropUnlisted(cluster)
}

// dropUnlisted drops a cluster that its owner let go of because it left the zone. What was under way when it left may have
// come after apply had dropped it.
func (s *sums) dropUnlisted(cluster string) {
	if _, listed := s.mirror.Snapshot().Get(record.ClusterKey(cluster)); !listed {
		s.dropCluster(cluster)
	}
}

func (s *sums) dropCluster(cluster string) {
	c := s.clusters[cluster]
	if c == nil {
		return
	}
	for _, app := range slices.Sorted(maps.Keys(c.replicas)) {
		s.drop(cluster, app)
	}
	delete(s.clusters, cluster)
	s.report.RemoveHealth(cluster)
	s.locations.Forget(cluster)
}

func (s *sums) drop(cluster, app string) {
	if c := s.clusters[cluster]; c != nil {
		delete(c.replicas, app)
		s.report.Remove(cluster, app)
	}
}

func (s *sums) note(source string, st record.Standing) {
	c := s.clusters[st.Cluster]
	if c == nil {
		c = &testimony{replicas: map[string]int32{}, located: map[record.Key]struct{}{}}
		s.clusters[st.Cluster] = c
	}
	fence := feed.Fence{Epoch: st.Epoch, Fence: st.Fence}
	if fence.Epoch == c.fence.Epoch && fence.Fence < c.fence.Fence {
		return
	}
	if fence != c.fence {
		s.sift(st.Cluster, c)
		c.located, c.told, c.whole = map[record.Key]struct{}{}, false, false
	}
	c.fence, c.source = fence, source
	switch {
	case st.Health != nil:
		s.noteHealth(c, *st.Health)
		c.told, c.locations = st.Told, int(st.Locations)
		s.notePresence(st.Cluster, c, st.Health.Connected)
	case st.Location != nil:
		s.noteLocation(c, *st.Location)
	default:
		s.noteStatus(c, st)
	}
}

// sift drops, when a cluster has a new owner, what the last one told of applications that are no longer bound to it: the
// new owner never had them.
func (s *sums) sift(cluster string, c *testimony) {
	for app := range c.replicas {
		if !s.bound(cluster, app) {
			s.drop(cluster, app)
		}
	}
}

func (s *sums) bound(cluster, app string) bool {
	namespace, name := cutName(app)
	_, bound := s.mirror.Snapshot().Get(record.BindingKey(namespace, name, cluster))
	return bound
}

func (s *sums) noteStatus(c *testimony, st record.Standing) {
	app := record.ServiceName(st.Status.Namespace, st.Status.Application)
	before, told := s.report.Table().Get(st.Cluster, app)
	if st.Assumed && told && before.Revision == st.Status.Revision {
		return
	}
	c.replicas[app] = st.Replicas
	status := *st.Status
	remember(&status.Counts, before.Counts)
	s.report.Put(st.Cluster, status)
	if s.whole(c) {
		s.openIfAllSpoke()
	}
	if now := status.Counts; rollup.Ready(now) &&
		!(rollup.Ready(before.Counts) && before.Revision == now.Revision && before.Desired == now.Desired) {
		s.news.ready(app)
	}
}

// remember keeps when a revision was applied, which an owner that found it applied does not know.
func remember(now *record.Counts, before record.Counts) {
	if !now.AppliedAt.IsZero() || now.Converged == 0 || before.Converged == 0 || now.Revision != before.Revision {
		return
	}
	now.AppliedAt = before.AppliedAt
	if rollup.Ready(*now) && now.AppliedAt.After(now.ReadyAt) {
		now.ReadyAt = now.AppliedAt
	}
}

// noteHealth notes a cluster's health. While the term is young the scheduler is told of numbers of nodes only when all
// clusters have said theirs, or it would move replicas to whoever speaks first.
func (s *sums) noteHealth(c *testimony, h record.Health) {
	c.health = &h
	s.report.PutHealth(h)
	if s.counting {
		s.news.counted(h.Cluster, h.Nodes)
	}
	s.openIfAllSpoke()
}

// apply follows the zone's records: what is no longer bound, and clusters that left the zone, are no longer summed.
func (s *sums) apply(changes []store.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		switch {
		case c.New != nil:
		case c.Key.Kind == record.KindBinding:
			if app, cluster, ok := cutLast(c.Key.Name); ok {
				s.drop(cluster, app)
			}
		case c.Key.Kind == record.KindCluster:
			s.dropCluster(c.Key.Name)
			s.openIfAllSpoke()
		}
	}
}
