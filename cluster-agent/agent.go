package clusteragent

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// agent is the active agent: what runs while the Lease is held.
type agent struct {
	cfg   Config
	log   *slog.Logger
	kube  *kube
	lease *lease
	stats *feed.Stats
	// identity is who the process is; learned takes the addresses that the zone tells, served the one that a session is with.
	identity *identity.Source
	learned  func(addresses []string)
	served   func(address string)

	desk      *desk
	outbox    *feed.Outbox
	workloads *workloads
	health    *health
	locations *locations
	ledger    *feed.Ledger // nil until the cluster was listed
	link      link
	// active is called when the cluster was listed.
	active func()
}

func newAgent(cfg Config, k *kube, l *lease, deps Deps) *agent {
	outbox := feed.NewOutbox()
	a := &agent{cfg: cfg, log: deps.Log, kube: k, lease: l, stats: deps.Stats, identity: deps.Identity, learned: deps.Learned, served: deps.Served,
		desk: newDesk(deps.Log), outbox: outbox, workloads: newWorkloads(outbox), health: newHealth(cfg, outbox), active: func() {}}
	a.desk.leaving.tell = a.health.problems
	return a
}

// run works until ctx ends or the Lease is lost.
func (a *agent) run(ctx context.Context, state feed.State) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.lease.run(ctx) })
	listed := a.watch(ctx, g)
	for _, w := range a.counters() {
		g.Go(func() error { return w.run(ctx) })
	}
	w := &workers{desk: a.desk, gate: a.lease, n: a.cfg.Workers,
		writer: &writer{kube: a.kube, applied: a.workloads.applied, mayRun: a.desk.mayRun}}
	g.Go(func() error {
		select {
		case <-listed:
		case <-ctx.Done():
			a.desk.close()
			return nil
		}
		a.open(state)
		g.Go(func() error { return w.run(ctx) })
		return a.serve(ctx)
	})
	return g.Wait()
}

// watch starts a watcher for each kind, and one for what is located, and returns what is closed when all have listed their objects once.
func (a *agent) watch(ctx context.Context, g *errgroup.Group) <-chan struct{} {
	kinds, listed := object.Kinds(), make(chan struct{})
	var left atomic.Int32
	left.Store(int32(len(kinds)) + 1)
	first := func() {
		if left.Add(-1) == 0 {
			close(listed)
		}
	}
	for _, kind := range kinds {
		w := &watcher{log: a.log, source: a.kube.managed(kind),
			sink: &managedSink{kind: kind, desk: a.desk, workloads: a.workloads, ready: first}}
		g.Go(func() error { return w.run(ctx) })
	}
	a.locations = newLocations(a.cfg, a.outbox, first)
	slices := &watcher{log: a.log, source: a.kube.located(), sink: a.locations}
	g.Go(func() error { return slices.run(ctx) })
	g.Go(func() error { return a.locations.run(ctx) })
	return listed
}

// counters are the watchers of what is told of the cluster itself.
func (a *agent) counters() []*watcher {
	return []*watcher{
		{log: a.log, source: a.kube.allNodes(), sink: &nodes{log: a.log, health: a.health, version: a.kube.serverVersion}},
		{log: a.log, source: a.kube.serviceCIDRs(), sink: &services{health: a.health}},
	}
}

// open makes the ledger of what was listed. From now on what is sent up is all there is.
func (a *agent) open(state feed.State) {
	a.ledger = a.desk.open(func(inventory iter.Seq[record.KeyVersion]) *feed.Ledger {
		return feed.NewLedger(state, inventory)
	})
	a.outbox.SetComplete(true)
	objects, _ := a.desk.count()
	a.log.Info("objects found in the cluster", "objects", objects)
	a.active()
}

// serve keeps the session with the zone.
func (a *agent) serve(ctx context.Context) error {
	b := &batches{desk: a.desk, persist: a.lease.accept}
	return feedgrpc.Run(ctx, feedgrpc.ClientConfig{
		Targets:     a.cfg.ZoneAddresses,
		Learned:     a.learn,
		Kept:        a.lease.addresses(),
		Credentials: credentials.NewTLS(identity.ClientTLS(a.identity, a.cfg.zone(), nil)),
		Hello: feed.Hello{Role: string(question.TierCluster), Path: a.cfg.path().String(),
			Release: buildinfo.Read().Version},
		Session: feed.Config{Stats: a.stats},
		Log:     a.log,
	}, feedgrpc.Endpoint{
		Outbox: a.outbox,
		Ledger: a.ledger,
		Apply:  b.apply,
		Answer: a.answer,
		Opened: a.opened,
		Closed: func(error) { a.link.closed(time.Now()) },
		State:  a.link.stands,
	})
}

// opened notes a session that has begun.
func (a *agent) opened(l *feedgrpc.Link) {
	a.link.opened(time.Now())
	if a.served != nil {
		a.served(l.Address())
	}
}

// learn keeps the addresses at which the zone can be reached.
func (a *agent) learn(addresses []string) {
	a.lease.learn(addresses)
	if a.learned != nil {
		a.learned(addresses)
	}
}

// link is how the session with the zone stands.
type link struct {
	mu        sync.Mutex // guards all below
	connected bool
	since     time.Time
	status    feed.Status
}

func (l *link) opened(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connected, l.since = true, now
}

func (l *link) closed(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connected, l.since, l.status = false, now, feed.Status{}
}

func (l *link) stands(status feed.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

// session is the link as it is told to those who ask.
func (l *link) session(peer string) *question.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &question.Session{Peer: peer, Connected: l.connected, InSync: l.status.InSync, Pending: l.status.Pending,
		Since: l.since}
	if r := l.status.RefusedBy; r != nil {
		s.Refused = &question.Refusal{Kind: string(r.Kind), Reason: r.Reason}
	}
	return s
}
