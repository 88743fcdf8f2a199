package az

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// clusterShard has the clusters that this replica owns: it claims those that are dealt to it (ownership.go), has compiled what
// they run (package compile), and keeps an Outbox for each.
type clusterShard struct {
	zone     string
	store    store.Registry
	mirror   *store.Mirror
	roster   *roster
	board    *board
	agents   *children.Table
	log      *slog.Logger
	stats    *stats
	compiled func(time.Duration)
	limits   children.Limits // of one cluster's agent

	// The loop alone uses these.
	compiler *compile.Compiler
	clusters map[string]record.Cluster
	weights  weights
	weighed  []byte // what weights was to be read from
	position feed.Position
	loaded   bool
	// dealt is who should have each cluster, dealtTo among whom; redeal: clusters or weights have changed since.
	dealt   map[string]string
	dealtTo []string
	redeal  bool
	// stirred: the roster has changed since the shard was reconciled with it.
	stirred bool
	// prepared are compiled and not owned; taking are being claimed; outrun says from which fence on a claim that another
	// was faster for may be tried again.
	prepared map[string]*owned
	taking   map[string]bool
	outrun   map[string]int64
	wants    []taking
	joined   int // the membership by whose roster the shard was last reconciled
	// paused is until when nothing is claimed, again when the timer fires.
	paused, again time.Time
	timer         *time.Timer
	// doubtful is when, in doubt of whose the clusters are, agents are sent away next; patience how long it was put off.
	doubtful time.Time
	patience time.Duration

	claims, claimed chan []taking
	ready           chan struct{} // closed when the first clusters dealt to this replica are its own

	mu      sync.Mutex
	owned   map[string]*owned // guarded by mu
	changed chan struct{}     // guarded by mu; closed and replaced whenever owned changes
}

// stats counts what happens to a replica's clusters. It is safe for concurrent use.
type stats struct {
	// owned counts clusters taken, released those that another took, outrun claims for which another was faster.
	owned, released, outrun atomic.Int64
}

// owned is a cluster that the shard has.
type owned struct {
	fence  feed.Fence // written before it is owned
	outbox *feed.Outbox
	ledger *feed.Ledger
}

func newOwned(limits children.Limits) *owned {
	return &owned{outbox: feed.NewOutbox(), ledger: limits.Ledger()}
}

func newShard(cfg compile.Config, s store.Registry, mirror *store.Mirror, r *roster, b *board, agents *children.Table, stats *stats,
	log *slog.Logger) *clusterShard {
	return &clusterShard{zone: cfg.Zone, store: s, mirror: mirror, roster: r, board: b, agents: agents, log: log, stats: stats,
		compiled: func(time.Duration) {}, compiler: compile.New(cfg), clusters: map[string]record.Cluster{}, weights: weights{},
		prepared: map[string]*owned{}, taking: map[string]bool{}, outrun: map[string]int64{}, claims: make(chan []taking),
		claimed: make(chan []taking), ready: make(chan struct{}), owned: map[string]*owned{}, changed: make(chan struct{})}
}

// run follows the mirror and the roster until ctx ends.
func (s *clusterShard) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	updates := make(chan store.Update)
	group.Go(func() error { return follow(ctx, s.mirror, updates) })
	group.Go(func() error { return s.claim(ctx) })
	group.Go(func() error { return s.loop(ctx, updates) })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *clusterShard) loop(ctx context.Context, updates <-chan store.Update) error {
	s.timer = time.NewTimer(time.Hour)
	defer s.timer.Stop()
	roster := s.roster.wait()
	for {
		if s.redeal || s.stirred {
			s.stirred = false
			s.reconcile(time.Now())
		}
		var claims chan<- []taking
		if len(s.wants) > 0 {
			claims = s.claims
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u := <-updates:
			s.apply(u)
		case <-roster:
			// What happens from here on is told by the next channel, what happened before is seen by reconcile.
			roster, s.stirred = s.roster.wait(), true
		case claims <- s.wants:
			s.wants = nil
		case <-s.board.echoes.wake:
			s.publish(s.compiler.Hear(s.board.echoes.take()))
		case results := <-s.claimed:
			s.took(results)
			s.stirred = true
		case <-s.timer.C:
			s.again, s.stirred = time.Time{}, true
			s.age(time.Now())
		}
	}
}

// apply compiles an update. A cluster that went goes first, so that nothing of what goes with it is sent there: leaving
// Meridian leaves what runs in it alone.
func (s *clusterShard) apply(u store.Update) {
	began := time.Now()
	for _, c := range u.Changes {
		if c.Key.Kind == record.KindCluster {
			s.follow(c)
		}
	}
	s.weigh(u.New.Meta(metaWeights))
	s.redeal = s.redeal || !s.loaded
	s.loaded = true
	s.position = feed.Position{Epoch: u.New.Position().Epoch, Revision: u.New.Position().Revision}
	s.publish(s.compiler.Apply(u, began))
	s.compiled(time.Since(began))
	s.lookAgain(s.compiler.Due())
}

// age takes the weight of places that have been stale for too long.
func (s *clusterShard) age(now time.Time) {
	if due := s.compiler.Due(); !due.IsZero() && !now.Before(due) {
		s.publish(s.compiler.Age(now))
	}
	s.lookAgain(s.compiler.Due())
}

// weigh takes in the clusters' sizes, by which they are dealt, if they are others than before.
func (s *clusterShard) weigh(text []byte) {
	if bytes.Equal(text, s.weighed) {
		return
	}
	s.weighed = text
	w, err := decodeWeights(text)
	if err != nil {
		s.log.Error("dealing clusters by the sizes known before", "error", err)
		return
	}
	s.weights, s.redeal = w, true
}

// follow notes the coming and going of a cluster.
func (s *clusterShard) follow(c store.Change) {
	s.redeal = true
	if c.New != nil {
		if cluster, err := record.DecodeCluster(c.New.Record); err == nil && cluster.Zone == s.zone {
			s.clusters[cluster.Name] = cluster
			return
		}
	}
	name := c.Key.Name
	delete(s.clusters, name)
	if s.prepared[name] != nil {
		delete(s.prepared, name)
		s.compiler.Disown(name)
	}
	if s.has(name) {
		s.log.Info("cluster left the zone", "cluster", name)
		s.lose(name)
		s.agents.Forget(name, "cluster "+name+" is no longer in the inventory of zone "+s.zone)
	}
}

// publish brings every cluster to the position, those with changes by them.
func (s *clusterShard) publish(shifts map[string]*compile.Shift) {
	now := time.Now()
	s.mu.Lock()
	all := maps.Clone(s.owned)
	s.mu.Unlock()
	maps.Copy(all, s.prepared)
	for name, o := range all {
		change := shifts[name]
		if change == nil {
			o.outbox.SetPosition(s.position)
			continue
		}
		if s.prepared[name] == nil {
			s.board.expect(name, change, now)
		}
		o.outbox.Update(s.position, change.Edits...)
		o.outbox.SetComplete(change.Complete)
	}
}

// errNotOwned says that no replica serves the cluster yet.
var errNotOwned = errors.New("the cluster is not owned by any replica yet")

// get returns a cluster, nil if it is not owned here; changed is closed when that may have changed.
func (s *clusterShard) get(name string) (o *owned, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[name], s.changed
}

// wake tells that owned has changed, with mu held.
func (s *clusterShard) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// has tells whether the shard owns a cluster.
func (s *clusterShard) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[name] != nil
}

// open lets agents in, once.
func (s *clusterShard) open() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// sizes yields the number of objects of each cluster that is owned.
func (s *clusterShard) sizes(yield func(objects int) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owned {
		if !yield(o.outbox.Len()) {
			return
		}
	}
}

// names lists the clusters that are owned, sorted.
func (s *clusterShard) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.owned))
}
