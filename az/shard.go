package az

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// claimPause is how long a shard waits after claims that failed.
const claimPause = 500 * time.Millisecond

// clusterShard owns clusters: it claims them, compiles what they run, and keeps an Outbox for each. Until there are several
// replicas, whoever leads the zone claims all of its clusters.
type clusterShard struct {
	zone, id string
	store    store.Store
	mirror   *store.Mirror
	board    *board
	agents   *children.Table
	log      *slog.Logger
	compiled func(time.Duration)

	// The loop alone uses these.
	compiler *compiler
	clusters map[string]record.Cluster
	position feed.Position
	// suspect: others may have taken claims since they were last looked at.
	suspect bool

	leading atomic.Bool
	leads   chan struct{} // receives when leading was set
	ready   chan struct{} // closed when all clusters of the first claim are compiled

	mu      sync.Mutex
	owned   map[string]*owned // guarded by mu
	changed chan struct{}     // guarded by mu; closed and replaced whenever owned changes
}

// owned is a cluster that the shard has.
type owned struct {
	fence  feed.Fence // guarded by the shard's mu
	outbox *feed.Outbox
	ledger *feed.Ledger
}

func newShard(zone, id string, s store.Store, mirror *store.Mirror, b *board, agents *children.Table, log *slog.Logger) *clusterShard {
	return &clusterShard{zone: zone, id: id, store: s, mirror: mirror, board: b, agents: agents, log: log,
		compiled: func(time.Duration) {}, compiler: newCompiler(), clusters: map[string]record.Cluster{},
		leads: make(chan struct{}, 1), ready: make(chan struct{}), owned: map[string]*owned{}, changed: make(chan struct{})}
}

// lead tells the shard whether this process leads the zone and may claim clusters. Clusters that it has it keeps until
// another claims them.
func (s *clusterShard) lead(is bool) {
	s.leading.Store(is)
	select {
	case s.leads <- struct{}{}:
	default:
	}
}

// run follows the mirror until ctx ends.
func (s *clusterShard) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	updates := make(chan store.Update)
	group.Go(func() error { return follow(ctx, s.mirror, updates) })
	group.Go(func() error { return s.loop(ctx, updates) })
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *clusterShard) loop(ctx context.Context, updates <-chan store.Update) error {
	retry := time.NewTimer(0)
	defer retry.Stop()
	loaded := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u := <-updates:
			s.apply(u)
			loaded = true
		case <-s.leads:
			s.suspect = true
		case <-retry.C:
		}
		if !s.leading.Load() || !loaded {
			continue
		}
		if err := s.claim(ctx); err != nil {
			s.log.Warn("claiming clusters", "error", err, "again", claimPause)
			retry.Reset(claimPause)
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
	s.position = feed.Position{Epoch: u.New.Position().Epoch, Revision: u.New.Position().Revision}
	s.publish(s.compiler.apply(u))
	s.compiled(time.Since(began))
}

// follow notes the coming and going of a cluster.
func (s *clusterShard) follow(c store.Change) {
	if c.New != nil {
		if cluster, err := record.DecodeCluster(c.New.Record); err == nil && cluster.Zone == s.zone {
			s.clusters[cluster.Name] = cluster
			return
		}
	}
	name := c.Key.Name
	delete(s.clusters, name)
	s.mu.Lock()
	_, had := s.owned[name]
	delete(s.owned, name)
	s.mu.Unlock()
	if had {
		s.log.Info("cluster left the zone", "cluster", name)
		s.agents.Forget(name, "cluster "+name+" is no longer in the inventory of zone "+s.zone)
		s.compiler.disown(name)
		s.board.drop(name)
	}
}

// publish brings every cluster to the position, those with changes by them.
func (s *clusterShard) publish(shifts map[string]*shift) {
	now := time.Now()
	s.mu.Lock()
	all := maps.Clone(s.owned)
	s.mu.Unlock()
	for name, o := range all {
		change := shifts[name]
		if change == nil {
			o.outbox.SetPosition(s.position)
			continue
		}
		s.board.expect(name, change, now)
		o.outbox.Update(s.position, change.edits...)
		o.outbox.SetComplete(change.complete)
	}
}

// errNotOwned says that no replica here serves the cluster.
var errNotOwned = errors.New("the cluster is not owned by this replica yet")

// get returns a cluster that is owned, and waits for it until ctx ends.
func (s *clusterShard) get(ctx context.Context, name string) (*owned, error) {
	for {
		s.mu.Lock()
		o, changed := s.owned[name], s.changed
		s.mu.Unlock()
		if o != nil {
			return o, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errNotOwned
		}
	}
}

// fenceOf is the fence by which the cluster is owned.
func (s *clusterShard) fenceOf(o *owned) feed.Fence {
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.fence
}

// names lists the clusters that are owned, sorted.
func (s *clusterShard) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.owned))
}
