package az

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/rollup"
)

// schedulerChild is the name under which the scheduler's own word on an application is summed beside the clusters'.
const schedulerChild = ""

// board accounts for all clusters of the zone, and reports the sums. All methods may be called from several goroutines.
type board struct {
	zone, region string
	// news is told what the scheduler waits for.
	news *news

	mu     sync.Mutex
	sites  map[string]*site // guarded by mu, as is report
	report *rollup.Report
}

// newBoard reports into the outbox.
func newBoard(zone, region string, outbox *feed.Outbox, news *news) *board {
	b := &board{zone: zone, region: region, news: news, sites: map[string]*site{}}
	b.report = rollup.NewReport(outbox, b.known)
	return b
}

// known tells, with mu held, whether all clusters that have a part in an application have spoken of it.
func (b *board) known(app string) bool {
	for _, cluster := range b.report.Table().Children(app) {
		if s := b.sites[cluster]; s != nil && !s.known(app) {
			return false
		}
	}
	return true
}

// open reports everything: clusters that were not heard by now are not waited for.
func (b *board) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.openAll()
}

func (b *board) openAll() {
	if b.report.Opened() {
		return
	}
	b.report.Open()
	b.countAll()
	for _, s := range b.sites {
		b.sayHealth(s)
	}
}

// add begins to account for a cluster.
func (b *board) add(cluster string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sites[cluster] == nil {
		b.sites[cluster] = newSite(b.zone, b.region, cluster)
	}
}

// drop forgets a cluster that is no longer the zone's.
func (b *board) drop(cluster string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return
	}
	delete(b.sites, cluster)
	for _, app := range slices.Sorted(maps.Keys(s.apps)) {
		b.report.Remove(cluster, app)
	}
	b.report.RemoveHealth(cluster)
}

// expect notes what a round of compilation means for a cluster. It is called before the edits are sent, so that no
// acknowledgement comes too early.
func (b *board) expect(cluster string, change *shift, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return
	}
	for _, u := range change.units {
		s.expect(*u, at)
		b.say(s, u.id.app())
	}
	for _, app := range change.gone {
		s.gone(app)
		b.report.Remove(cluster, app)
	}
	if len(change.units)+len(change.gone) > 0 {
		b.sayHealth(s)
	}
}

// acked notes what a cluster acknowledged.
func (b *board) acked(cluster string, outcomes []feed.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return
	}
	for _, o := range outcomes {
		if app, changed := s.acked(o); changed {
			b.say(s, app)
		}
	}
}

// take notes what an agent reports.
func (b *board) take(cluster string, batch feed.Batch) []feed.Rejection {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return nil
	}
	var rejected []feed.Rejection
	for _, r := range batch.Puts {
		if err := b.takeOne(s, *r); err != nil {
			rejected = append(rejected, feed.Rejection{Key: r.Key, Version: r.Version, Reason: "InvalidRecord", Message: err.Error()})
		}
	}
	for _, r := range batch.Removals {
		if r.Key.Kind == record.KindStatus {
			delete(s.reports, r.Key.Name)
			b.say(s, r.Key.Name)
		}
	}
	return rejected
}

func (b *board) takeOne(s *site, r record.Record) error {
	if r.Key.Kind == record.KindHealth {
		h, err := record.DecodeHealth(r)
		if err != nil {
			return err
		}
		s.health = h
		b.sayHealth(s)
		b.count(s)
		return nil
	}
	status, err := record.DecodeStatus(r)
	if err != nil {
		return err
	}
	s.reports[r.Key.Name] = status
	b.say(s, r.Key.Name)
	return nil
}

// session notes that a cluster's agent came or went.
func (b *board) session(cluster string, connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sites[cluster]; s != nil {
		s.connected = connected
		if !connected {
			s.refused = nil
		}
		b.sayHealth(s)
	}
}

// state notes how a cluster's session stands.
func (b *board) state(cluster string, status feed.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return
	}
	before := s.heard()
	s.synced, s.told = s.synced || status.InSync, s.told || status.Heard
	first := s.heard() && !before
	if refused := status.RefusedBy; (refused == nil) != (s.refused == nil) || first {
		s.refused = refused
		b.sayHealth(s)
	}
	if first {
		for app := range s.apps {
			b.report.Publish(app)
		}
		b.openIfAllHeard()
	}
}

// openIfAllHeard ends the waiting of a zone that has started when nobody is left to wait for.
func (b *board) openIfAllHeard() {
	for _, s := range b.sites {
		if !s.heard() {
			return
		}
	}
	b.openAll()
}

// say brings an application's word from a cluster into the sums.
func (b *board) say(s *site, app string) {
	if s.apps[app] == nil {
		return
	}
	before, _ := b.report.Table().Get(s.cluster, app)
	status := s.status(app)
	b.report.Put(s.cluster, status)
	if rollup.Ready(status.Counts) && !(rollup.Ready(before.Counts) && before.Revision == status.Revision && before.Desired == status.Desired) {
		b.news.ready(app)
	}
}

func (b *board) sayHealth(s *site) {
	if s.heard() || s.connected || b.report.Opened() {
		b.report.PutHealth(s.wellbeing())
	}
}

// count tells the scheduler how many nodes a cluster has. While the zone starts it waits until all clusters have said
// theirs, or it would move replicas to whoever speaks first.
func (b *board) count(s *site) {
	if b.report.Opened() {
		b.news.counted(s.cluster, s.health.Nodes)
		return
	}
	for _, other := range b.sites {
		if other.health.Nodes == 0 {
			return
		}
	}
	b.countAll()
}

func (b *board) countAll() {
	for _, s := range b.sites {
		b.news.counted(s.cluster, s.health.Nodes)
	}
}

// recount tells the scheduler all numbers of nodes that are known.
func (b *board) recount() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.report.Opened() {
		b.countAll()
	}
}

// settled tells whether a cluster runs a binding.
func (b *board) settled(binding record.Binding) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[binding.Cluster]
	return s != nil && s.settled(record.ServiceName(binding.Namespace, binding.Application), binding)
}

// scheduled notes what the scheduler has to say of applications; nil is nothing.
func (b *board) scheduled(problems map[string]*record.Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, app := range slices.Sorted(maps.Keys(problems)) {
		p := problems[app]
		_, had := b.report.Table().Get(schedulerChild, app)
		switch {
		case p != nil:
			s := record.Status{Problems: []record.Problem{*p}}
			s.Namespace, s.Application = cutName(app)
			b.report.Put(schedulerChild, s)
		case had:
			b.report.Remove(schedulerChild, app)
		}
	}
}
