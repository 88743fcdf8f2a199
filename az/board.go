package az

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// board accounts for the clusters that this replica owns, and tells the zone's leader how they stand: at once where this
// replica leads, else through the outbox that its session with the leader sends (peers.go). A word is told only when it is
// known: a replica that has just taken a cluster over knows less of it than the leader remembers. All methods may be
// called from several goroutines.
type board struct {
	zone, region string
	settle       time.Duration
	// aged receives when a site's time to be heard may have begun.
	aged chan struct{}
	// echoes are what the compiler has to hear of what agents made of objects.
	echoes *echoes
	// outbox is what a session with another leader sends: standings while another leads, else nothing.
	outbox *feed.Outbox

	mu     sync.Mutex
	sites  map[string]*site // guarded by mu
	leader *sums            // guarded by mu; nil while another leads
}

func newBoard(zone, region string, settle time.Duration) *board {
	b := &board{zone: zone, region: region, settle: settle, outbox: feed.NewOutbox(), aged: make(chan struct{}, 1), echoes: newEchoes(),
		sites: map[string]*site{}}
	b.outbox.SetComplete(true) // nothing more is to come than what is known
	return b
}

// lead has everything told to the sums of this replica from now on; nil: to whoever leads.
func (b *board) lead(s *sums) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leader = s
	if s != nil {
		var edits []feed.Edit
		for _, kv := range b.outbox.Keys() {
			edits = append(edits, feed.Remove(kv.Key, record.CauseScope))
		}
		b.outbox.Edit(edits...)
	}
	for _, s := range b.sites {
		b.sayAll(s)
	}
}

// add begins to account for a cluster that is owned by a fence.
func (b *board) add(cluster string, fence feed.Fence) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := newSite(b.zone, b.region, cluster)
	s.fence, s.due = fence, time.Now().Add(b.settle)
	b.sites[cluster] = s
	select {
	case b.aged <- struct{}{}:
	default:
	}
}

// release forgets a cluster that is no longer owned here. What the leader knows of it stays until its next owner speaks.
func (b *board) release(cluster string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return
	}
	delete(b.sites, cluster)
	if b.leader != nil {
		b.leader.released(cluster)
	} else {
		edits := []feed.Edit{feed.Remove(record.StandingKey(cluster, ""), record.CauseScope)}
		for _, app := range slices.Sorted(maps.Keys(s.apps)) {
			edits = append(edits, feed.Remove(record.StandingKey(cluster, app), record.CauseScope))
		}
		for _, l := range s.located {
			edits = append(edits, feed.Remove(locatedKey(l), record.CauseScope))
		}
		b.outbox.Edit(edits...)
	}
}

// expect notes what a round of compilation means for a cluster. It is called before the edits are sent, so that no
// acknowledgement comes too early.
func (b *board) expect(cluster string, change *compile.Shift, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[cluster]
	if s == nil {
		return
	}
	s.await(change.Awaits)
	for _, app := range change.Applications {
		s.expect(app, at)
		b.say(s, app.Name())
	}
	for _, app := range change.Gone {
		s.gone(app)
		b.unsay(s, app)
	}
	news := !slices.Equal(s.notes, change.Problems)
	s.notes = change.Problems
	if news || len(change.Applications)+len(change.Gone) > 0 {
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
		if e, ok := s.echo(o); ok {
			b.echoes.add(e)
		}
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
	located := len(s.located)
	puts, rejected := children.Sift(batch.Puts, func(key record.Key) error { return sayAgent(cluster, key) })
	for _, r := range puts {
		if err := b.takeOne(s, *r); err != nil {
			rejected = append(rejected, children.Reject(*r, err))
		}
	}
	for _, r := range batch.Removals {
		switch r.Key.Kind {
		case record.KindStatus:
			delete(s.reports, r.Key.Name)
			b.echoes.add(s.ended(r.Key.Name)...)
			b.say(s, r.Key.Name)
		case record.KindLocation:
			b.takeAway(s, r.Key)
		}
	}
	if len(s.located) != located && s.fresh {
		b.sayHealth(s) // it says how many there are
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
		return nil
	}
	if r.Key.Kind == record.KindLocation {
		return b.locate(s, r)
	}
	status, err := record.DecodeStatus(r)
	if err != nil {
		return err
	}
	s.reports[r.Key.Name] = status
	b.say(s, r.Key.Name)
	return nil
}

// session notes that a cluster's agent came or went. One that comes while the cluster is not known yet has
// its time to tell from then on: many may come at once.
func (b *board) session(cluster string, connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sites[cluster]; s != nil {
		s.connected, s.fresh, s.settled = connected, false, false
		if !connected {
			s.refused = nil
		} else if !s.due.IsZero() {
			s.due = time.Now().Add(b.settle)
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
	if status.InSync && status.Heard && !s.settled {
		s.settled = true
		b.echoes.add(s.settle()...)
	}
	before := s.heard()
	s.synced, s.told = s.synced || status.InSync, s.told || status.Heard
	first, fresh := s.heard() && !before, status.Heard && s.connected && !s.fresh
	s.fresh = s.fresh || fresh
	refused := status.RefusedBy
	refusal := (refused == nil) != (s.refused == nil)
	if refusal {
		s.refused = refused
	}
	switch {
	case first:
		b.sayAll(s)
	case fresh || refusal:
		b.sayHealth(s)
	}
}

// age tells what is not known of clusters whose agents have had their time to come back, and returns when there will be
// more to tell; zero is not until another cluster is owned.
func (b *board) age(now time.Time) (next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sites {
		switch {
		case s.due.IsZero():
		case now.Before(s.due):
			if next.IsZero() || s.due.Before(next) {
				next = s.due
			}
		default:
			s.due = time.Time{}
			b.sayAll(s)
		}
	}
	return next
}

func (b *board) sayAll(s *site) {
	for app := range s.apps {
		b.say(s, app)
	}
	for _, l := range s.located {
		b.sayLocation(s, l)
	}
	b.sayHealth(s)
}

// say tells how an application stands in a cluster, if that is known.
func (b *board) say(s *site, app string) {
	if s.apps[app] == nil || !s.known(app) {
		return
	}
	status := s.status(app)
	b.tell(record.Standing{Cluster: s.cluster, Epoch: s.fence.Epoch, Fence: s.fence.Fence, Status: &status,
		Replicas: s.apps[app].binding.Replicas, Assumed: !s.heard()})
}

func (b *board) sayHealth(s *site) {
	if !s.heard() && !s.due.IsZero() && s.refused == nil {
		return
	}
	health := s.wellbeing()
	b.tell(record.Standing{Cluster: s.cluster, Epoch: s.fence.Epoch, Fence: s.fence.Fence, Health: &health,
		Told: s.fresh, Locations: int32(len(s.located))})
}

func (b *board) tell(st record.Standing) {
	if b.leader != nil {
		b.leader.hear(st)
		return
	}
	r := st.Record()
	b.outbox.Edit(feed.Put(&r))
}

// unsay takes back what was told of an application that a cluster no longer has.
func (b *board) unsay(s *site, app string) {
	if b.leader != nil {
		b.leader.forget(s.cluster, app)
		return
	}
	b.outbox.Edit(feed.Remove(record.StandingKey(s.cluster, app), record.CausePerson))
}
