package az

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/az/authz"
	"github.com/meridian-federation/meridian/az/compile"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/internal/term"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/ipam/tenure"
)

// handOverWithin bounds how long a replica that ends waits for the others to take its clusters.
const handOverWithin = 8 * time.Second

// Deps are what a zone works on. The caller closes the store after Run; Run closes the listener.
type Deps struct {
	Store    store.Store
	Listener net.Listener
	Log      *slog.Logger
	// Audit gets who did what; a nil one discards.
	Audit *audit.Log
	// Identity is who this process is. Authority issues the identities of agents; nil where others do.
	Identity  *identity.Source
	Authority *identity.Authority
	// Authorization is where proxies ask for external authorization; nil is nowhere. Run closes it.
	Authorization net.Listener
	// Gossip may be nil; Run runs it.
	Gossip Gossip
	// Ledger is where the zone's addresses are kept; a zero Client: nowhere, and it allocates none.
	Ledger ledger.Config
	// Registry takes the zone's metrics; it may be nil.
	Registry prometheus.Registerer
}

// Zone is one replica of a zone.
type Zone struct {
	cfg      Config
	store    store.Store
	listener net.Listener
	log      *slog.Logger
	audit    *audit.Log
	identity *identity.Source
	// authority is nil where others than Meridian issue certificates.
	authority *identity.Authority
	mirror    *store.Mirror
	board     *board
	news      *news
	// sums are those of the present term; nil while another replica leads.
	sums     atomic.Pointer[sums]
	agents   *children.Table
	replicas *children.Table
	refusals *children.Refusals
	roster   *roster
	gossip   Gossip
	shard    *clusterShard
	stats    stats
	parent   *intake.Parent
	tenure   *tenure.Tenure // nil where no addresses are kept
	machines *ipamgrpc.Service
	// authorization is nil where no proxy may ask.
	authorization net.Listener
	checks        *authz.Metrics
	// The links to the region, to the agents, and to the leader.
	up, down, side feed.Stats
	serving        atomic.Bool
}

// New prepares a replica.
func New(cfg Config, deps Deps) *Zone {
	z := &Zone{cfg: cfg, store: deps.Store, listener: deps.Listener, log: deps.Log, audit: deps.Audit,
		identity: deps.Identity, authority: deps.Authority,
		gossip: deps.Gossip, mirror: store.NewMirror(deps.Store, deps.Log), news: newNews(),
		agents: children.NewTable(), replicas: children.NewTable()}
	z.refusals = children.NewRefusals(deps.Registry)
	z.board = newBoard(cfg.Zone, cfg.Region, cfg.Settle)
	address := cfg.Advertise
	if address == "" {
		address = deps.Listener.Addr().String()
	}
	z.roster = newRoster(store.Member{ID: cfg.ID, Address: address}, deps.Store, deps.Gossip, deps.Log)
	z.shard = newShard(compile.Config{Zone: cfg.Zone, StaleAfter: cfg.StaleAfter}, deps.Store, z.mirror, z.roster, z.board, z.agents, &z.stats, deps.Log)
	z.shard.limits = cfg.Children
	z.parent = intake.NewParent(feedgrpc.ClientConfig{Targets: cfg.Parent, Hello: z.hello(),
		Credentials: identity.ClientCredentials(deps.Identity, question.Path{Region: cfg.Region}, nil),
		Session:     feed.Config{Stats: &z.up}, Log: deps.Log}, z.answer)
	z.machines = z.newMachines()
	if deps.Ledger.Client != nil {
		z.tenure = tenure.New(tenure.Config{Region: cfg.Region, Zone: cfg.Zone, Ledger: deps.Ledger, Mirror: z.mirror,
			Machines: z.machines, Log: deps.Log, Registry: deps.Registry})
	}
	if deps.Authorization != nil {
		z.authorization, z.checks = deps.Authorization, authz.NewMetrics(deps.Registry)
	}
	if deps.Registry != nil {
		z.register(deps.Registry)
	}
	return z
}

func (z *Zone) hello() feed.Hello {
	return feed.Hello{Role: string(question.TierZone), Release: buildinfo.Read().Version, Path: z.path().String()}
}

// path is the zone's place.
func (z *Zone) path() question.Path { return question.Path{Region: z.cfg.Region, Zone: z.cfg.Zone} }

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
	group.Add("parent's grant", func(ctx context.Context) error { return children.Heed(ctx, z.mirror, z.identity, z.log) })
	if z.gossip != nil {
		group.Add("gossip", z.gossip.Run)
	}
	group.Add("roster", z.roster.run)
	group.Add("rumours", z.roster.listen)
	group.Add("shard", z.shard.run)
	group.Add("leader", func(ctx context.Context) error {
		if err := z.mirror.WaitReady(ctx); err != nil {
			return quiet(ctx, err)
		}
		return term.Lead(ctx, z.store, z.cfg.ID, z.log, z.lead)
	})
	group.Add("ageing", z.age)
	if z.authorization != nil {
		group.Add("authorization", z.authorize)
	}
	group.Add("machines", z.machines.Run)
	group.Add("agents", z.serve)
	group.Add("report", z.attend)
	group.Add("hand-over", z.handOver)
	return group.Run(ctx)
}

// handOver stops first: the other replicas take this one's clusters while it still serves them.
func (z *Zone) handOver(ctx context.Context) error {
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOverWithin)
	defer cancel()
	z.shard.handOver(ctx)
	return nil
}

// serve serves agents from when the clusters' objects are known.
func (z *Zone) serve(ctx context.Context) error {
	select {
	case <-z.shard.ready:
	case <-ctx.Done():
		return nil
	}
	z.serving.Store(true)
	return children.Serve(ctx, z.listener, children.Config{
		Feed: feedgrpc.ServerConfig{Hello: z.hello(), Accept: z.accept, Peers: z.roster.addresses,
			Session: feed.Config{Stats: &z.down}, Log: z.log},
		May: z.may, Identity: z.identity, Authority: z.authority, Mirror: z.mirror, Audit: z.audit,
		Refusals: z.refusals, More: []func(grpc.ServiceRegistrar){z.machines.Register},
	})
}

// age has the board tell what it does not know of clusters whose agents have had their time to come back.
func (z *Zone) age(ctx context.Context) error {
	for {
		var due <-chan time.Time
		if next := z.board.age(time.Now()); !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-due:
		case <-z.board.aged:
		case <-ctx.Done():
			return nil
		}
	}
}

// quiet drops the error with which something ends because ctx has.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
