package az

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
	"github.com/meridian-federation/meridian/internal/store"
)

// schedulerChild is the name under which the scheduler's own word on an application is summed beside the clusters'.
const schedulerChild = ""

// silentFor is how long the clusters of a replica whose session has ended count as they did: by then another has taken
// them over.
const silentFor = 2 * store.MemberLease

// sums is what the leader knows of all clusters of the zone, by the word of their owners, for one term. It reports the
// sums to the region, and tells the scheduler what that waits for. Of two owners of a cluster the one with the higher
// fence is believed, and a cluster's word stays until its next owner says another. All methods may be called from several
// goroutines.
type sums struct {
	mirror *store.Mirror
	news   *news

	// wake receives when lost has changed.
	wake chan struct{}

	mu       sync.Mutex
	report   *rollup.Report          // guarded by mu, as is all below
	clusters map[string]*testimony   // by cluster
	ledgers  map[string]*feed.Ledger // of what the other replicas told, by ID
	lost     map[string]time.Time    // replicas whose session ended, and when
	complete map[string]bool         // replicas that have told all that they know, once
}

// testimony is what the owner of one cluster said.
type testimony struct {
	fence  feed.Fence
	source string // the replica; empty is this one
	health *record.Health
	// replicas are those of the binding that the word on an application is about.
	replicas map[string]int32
}

// newSums reports into the outbox, which is incomplete until open: what the region remembers from before stays.
func newSums(mirror *store.Mirror, outbox *feed.Outbox, news *news) *sums {
	s := &sums{mirror: mirror, news: news, clusters: map[string]*testimony{},
		ledgers: map[string]*feed.Ledger{}, lost: map[string]time.Time{}, complete: map[string]bool{}, wake: make(chan struct{}, 1)}
	s.report = rollup.NewReport(outbox, s.known)
	return s
}

// known tells, with mu held, whether the owners of all clusters that an application is bound to have spoken of it.
func (s *sums) known(app string) bool {
	for e := range s.mirror.Snapshot().Prefix(record.KindBinding, app+"/") {
		if _, cluster, ok := cutLast(e.Key.Name); ok {
			if _, told := s.report.Table().Get(cluster, app); !told {
				return false
			}
		}
	}
	return true
}

// open reports everything: what is not known by now is not waited for.
func (s *sums) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openAll()
}

func (s *sums) openAll() {
	if s.report.Opened() {
		return
	}
	s.report.Open()
	for name, c := range s.clusters {
		if c.health != nil {
			s.news.counted(name, c.health.Nodes)
		}
	}
}

// take takes in what another replica tells.
func (s *sums) take(source string, batch feed.Batch) []feed.Rejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rejected []feed.Rejection
	for _, r := range batch.Puts {
		st, err := record.DecodeStanding(*r)
		if err != nil {
			rejected = append(rejected, feed.Rejection{Key: r.Key, Version: r.Version, Reason: "InvalidRecord", Message: err.Error()})
			continue
		}
		s.note(source, st)
	}
	for _, r := range batch.Removals {
		cluster, app, _ := strings.Cut(r.Key.Name, "/")
		switch c := s.clusters[cluster]; {
		case c == nil || c.source != source:
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
		c = &testimony{replicas: map[string]int32{}}
		s.clusters[st.Cluster] = c
	}
	fence := feed.Fence{Epoch: st.Epoch, Fence: st.Fence}
	if fence.Epoch == c.fence.Epoch && fence.Fence < c.fence.Fence {
		return
	}
	if fence != c.fence {
		s.sift(st.Cluster, c)
	}
	c.fence, c.source = fence, source
	if st.Health != nil {
		s.noteHealth(c, *st.Health)
	} else {
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
	if s.report.Opened() {
		s.news.counted(h.Cluster, h.Nodes)
	} else if s.whole(c) {
		s.openIfAllSpoke()
	}
}

// whole tells whether the owner of a cluster has said all that it means to. It may say how the cluster is before it can say
// how its applications stand; then it says how many there are.
func (s *sums) whole(c *testimony) bool {
	return c != nil && c.health != nil && len(c.replicas) >= int(c.health.Applications) &&
		(c.source == "" || s.complete[c.source])
}

// openIfAllSpoke ends the waiting of a young term when all clusters are known, by the whole word of their owners: what a
// replica tells comes in no particular order.
func (s *sums) openIfAllSpoke() {
	if s.report.Opened() {
		return
	}
	any := false // a zone whose inventory has not come yet waits
	for e := range s.mirror.Snapshot().All(record.KindCluster) {
		any = true
		if !s.whole(s.clusters[e.Key.Name]) {
			return
		}
	}
	if any {
		s.openAll()
	}
}

// heardAll notes that a replica has told all that it knows.
func (s *sums) heardAll(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.complete[id] {
		s.complete[id] = true
		s.openIfAllSpoke()
	}
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

// recount tells the scheduler all numbers of nodes that are known.
func (s *sums) recount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report.Opened() {
		for name, c := range s.clusters {
			if c.health != nil {
				s.news.counted(name, c.health.Nodes)
			}
		}
	}
}

// settled tells whether a cluster runs a binding: all applied, and ready.
func (s *sums) settled(b record.Binding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	app := record.ServiceName(b.Namespace, b.Application)
	status, told := s.report.Table().Get(b.Cluster, app)
	return told && s.clusters[b.Cluster].replicas[app] == b.Replicas && status.Converged > 0 && status.Revision == b.Revision &&
		status.Ready >= b.Replicas && status.Updated >= b.Replicas
}

// scheduled notes what the scheduler has to say of applications; nil is nothing.
func (s *sums) scheduled(problems map[string]*record.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, app := range slices.Sorted(maps.Keys(problems)) {
		p := problems[app]
		_, had := s.report.Table().Get(schedulerChild, app)
		switch {
		case p != nil:
			st := record.Status{Problems: []record.Problem{*p}}
			st.Namespace, st.Application = cutName(app)
			s.report.Put(schedulerChild, st)
		case had:
			s.report.Remove(schedulerChild, app)
		}
	}
}

// ledger is what is held of a replica's words, from session to session.
func (s *sums) ledger(id string) *feed.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.ledgers[id]
	if l == nil {
		l = feed.NewLedger(feed.State{}, nil).Unguarded()
		s.ledgers[id] = l
	}
	return l
}

// attended notes that a replica's session began or ended.
func (s *sums) attended(id string, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !connected {
		s.lost[id] = time.Now()
	} else {
		delete(s.lost, id)
		for _, c := range s.clusters {
			if c.source == id && c.health != nil {
				s.report.PutHealth(*c.health)
			}
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run opens the sums when the owners have had their time to speak, and says of clusters that nobody speaks for that they
// are not connected, until ctx ends. An owner may have begun later than the term, by silentFor at most, and says what its
// agents have not told after settle, or twice that where they came late.
func (s *sums) run(ctx context.Context, settle time.Duration) error {
	opening := time.NewTimer(2*settle + silentFor)
	defer opening.Stop()
	for {
		var silent <-chan time.Time
		if next := s.silence(time.Now()); !next.IsZero() {
			silent = time.After(time.Until(next))
		}
		select {
		case <-opening.C:
			s.open()
		case <-silent:
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// silence reports as not connected the clusters of replicas that have been away for silentFor, and returns when the next
// is due.
func (s *sums) silence(now time.Time) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, since := range s.lost {
		due := since.Add(silentFor)
		if now.Before(due) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			continue
		}
		delete(s.lost, id)
		for _, c := range s.clusters {
			if c.source == id && c.health != nil {
				h := *c.health
				h.Connected = false
				s.report.PutHealth(h)
			}
		}
	}
	return next
}
