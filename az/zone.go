package az

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/internal/term"
)

// Deps are what a zone works on. The caller closes the store after Run; Run closes the listener.
type Deps struct {
	Store    store.Store
	Listener net.Listener
	Log      *slog.Logger
	// Registry takes the zone's metrics; it may be nil.
	Registry prometheus.Registerer
}

// Zone is one replica of a zone.
type Zone struct {
	cfg      Config
	store    store.Store
	listener net.Listener
	log      *slog.Logger
	mirror   *store.Mirror
	board    *board
	agents   *children.Table
	shard    *clusterShard
	parent   *intake.Parent
	up, down feed.Stats
	leading  atomic.Bool
	serving  atomic.Bool
}

// New prepares a replica.
func New(cfg Config, deps Deps) *Zone {
	z := &Zone{cfg: cfg, store: deps.Store, listener: deps.Listener, log: deps.Log,
		mirror: store.NewMirror(deps.Store, deps.Log), agents: children.NewTable()}
	outbox := feed.NewOutbox()
	z.board = newBoard(cfg.Zone, cfg.Region, outbox, newNews())
	z.shard = newShard(cfg.Zone, cfg.ID, deps.Store, z.mirror, z.board, z.agents, deps.Log)
	z.parent = intake.NewParent(feedgrpc.ClientConfig{Targets: cfg.Parent, Hello: z.hello(),
		Session: feed.Config{Stats: &z.up}, Log: deps.Log}, outbox, z.answer)
	if deps.Registry != nil {
		z.register(deps.Registry)
	}
	return z
}

func (z *Zone) hello() feed.Hello {
	return feed.Hello{Role: string(question.TierZone), Release: buildinfo.Read().Version,
		Path: question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone}.String()}
}

// register adds the zone's metrics.
func (z *Zone) register(r prometheus.Registerer) {
	compile := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: telemetry.Namespace, Subsystem: "zone",
		Name: "compile_seconds", Help: "Time from a change of the records until all that follows from it is compiled.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8)})
	r.MustRegister(compile, telemetry.FeedCollector("parent", &z.up), telemetry.FeedCollector("children", &z.down))
	z.shard.compiled = func(d time.Duration) { compile.Observe(d.Seconds()) }
}

// Check adds the conditions under which the replica is ready. The region is none of them: a zone goes on without it.
func (z *Zone) Check(h *telemetry.Health) {
	h.Add("mirror", func(context.Context) error {
		if !z.mirror.Ready() {
			return errors.New("the records have not been read yet")
		}
		return nil
	})
	h.Add("listener", func(context.Context) error {
		if !z.serving.Load() {
			return errors.New("agents are not served yet: clusters are not owned")
		}
		return nil
	})
}

// Run serves agents, and leads the zone whenever this replica may, until ctx ends.
func (z *Zone) Run(ctx context.Context) error {
	defer z.listener.Close()
	group := run.NewGroup(z.log)
	group.Add("mirror", func(ctx context.Context) error { return quiet(ctx, z.mirror.Run(ctx)) })
	group.Add("shard", z.shard.run)
	group.Add("leader", func(ctx context.Context) error {
		if err := z.mirror.WaitReady(ctx); err != nil {
			return quiet(ctx, err)
		}
		return term.Lead(ctx, z.store, z.cfg.ID, z.log, z.lead)
	})
	group.Add("reports", z.settle)
	group.Add("agents", z.serve)
	return group.Run(ctx)
}

// serve serves agents from when the clusters' objects are known.
func (z *Zone) serve(ctx context.Context) error {
	select {
	case <-z.shard.ready:
	case <-ctx.Done():
		return nil
	}
	z.serving.Store(true)
	return children.Serve(ctx, z.listener, feedgrpc.ServerConfig{Hello: z.hello(), Identify: identify, Accept: z.accept,
		Session: feed.Config{Stats: &z.down}, Log: z.log})
}

// settle reports all that is not known once the agents have had their time to come back.
func (z *Zone) settle(ctx context.Context) error {
	select {
	case <-z.shard.ready:
	case <-ctx.Done():
		return nil
	}
	timer := time.NewTimer(z.cfg.Settle)
	defer timer.Stop()
	select {
	case <-timer.C:
		z.board.open()
	case <-ctx.Done():
	}
	return nil
}

// quiet drops the error with which something ends because ctx has.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
