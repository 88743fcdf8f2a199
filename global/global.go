package global

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/asker"
	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/enrol"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/location"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/scope"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/storemetrics"
	"github.com/meridian-federation/meridian/internal/telemetry"
	"github.com/meridian-federation/meridian/internal/term"
	"github.com/meridian-federation/meridian/ipam/ipamgrpc"
	"github.com/meridian-federation/meridian/ipam/ledger"
	"github.com/meridian-federation/meridian/ipam/tenure"
)

// locationGrace is how long a region may be away before what it told of where applications are is stale: longer than a
// region that reconnects pauses.
const locationGrace = 10 * time.Second

// Deps are what Global works on. The caller closes the store after Run.
type Deps struct {
	Store store.Store
	// Hub reaches the API server that holds the resources.
	Hub      *rest.Config
	Listener net.Listener
	Log      *slog.Logger
	// Audit gets who did what; a nil one discards.
	Audit    *audit.Log
	Stats    *feed.Stats
	Registry prometheus.Registerer
	// Identity is who this process is; it is required. Authority issues the identities of those below; nil where others than Meridian do.
	Identity  *identity.Source
	Authority *identity.Authority
	// Ledger is where Global's own addresses are kept; a zero Client: nowhere, and it allocates none.
	Ledger ledger.Config
}

// Global is one replica of the top tier.
type Global struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	client   *client
	identity *hubIdentity
	mirror   *store.Mirror
	views    *scope.Views
	reports  *reports
	queue    *queue
	guard    *guard
	sessions *children.Table
	metrics  *metrics
	// locations are where the regions say that applications are.
	locations *location.Keeper
	// register decides on enrolments; door lets people's questions in.
	register *enrol.Register
	door     door
	// trusted is closed when this process' root was held against those that are written down.
	trusted chan struct{}
	// told are the roots that people were told last, by the ConfigMap at the hub; nil if none were in this process' time.
	told atomic.Pointer[[]*x509.Certificate]
	// rotating is held for one step of the replacement of the root.
	rotating sync.Mutex
	// space is what of pools is taken here, while this replica leads; tenure runs it, nil where no addresses are kept.
	space    *space
	tenure   *tenure.Tenure
	machines *ipamgrpc.Service
	// writer is the term's; nil while this replica does not lead.
	writer atomic.Pointer[store.Writer]

	mu      sync.Mutex
	ledgers map[string]*feed.Ledger // guarded by mu; by region
}

// New prepares a replica.
func New(cfg Config, deps Deps) (*Global, error) {
	if deps.Identity == nil {
		return nil, errors.New("Global has no identity")
	}
	c, err := newClient(deps.Hub)
	if err != nil {
		return nil, err
	}
	people, err := asker.New(deps.Hub)
	if err != nil {
		return nil, err
	}
	mirror := store.NewMirror(deps.Store, deps.Log)
	views := scope.NewViews(scope.Regions)
	deps.Registry.MustRegister(storemetrics.New(mirror), telemetry.ScopeCollector(views.Sizes))
	locations := location.New(location.Config{Child: func(c record.Cluster) string { return c.Region },
		Own: func(string, string) bool { return true }, Grace: locationGrace}, mirror, deps.Log)
	g := &Global{cfg: cfg, deps: deps, log: deps.Log, client: c, identity: &hubIdentity{ask: c.uid, log: deps.Log},
		mirror: mirror, views: views, locations: locations, space: newSpace(),
		reports: newReports(), queue: newQueue(), guard: newGuard(), sessions: children.NewTable(),
		register: enrol.New(mirror, deps.Log), trusted: make(chan struct{}), metrics: newMetrics(deps.Registry), ledgers: map[string]*feed.Ledger{}}
	g.machines = g.newMachines()
	if deps.Ledger.Client != nil {
		g.tenure = tenure.New(tenure.Config{Ledger: deps.Ledger, Mirror: mirror, Report: g.stands, Machines: g.machines,
			Connected: func(region string) bool { return g.reports.session(region).connected }, Log: deps.Log})
	}
	g.door = door{people: people, audit: deps.Audit, answer: g.Reply}
	return g, nil
}

// Ready says why this replica cannot serve yet; nil when it can. Neither the hub's API server nor regions count:
// Global serves what it has without them.
func (g *Global) Ready(context.Context) error {
	if !g.mirror.Ready() {
		return errors.New("the records have not been read yet")
	}
	return nil
}

// Run serves regions, and decides whenever this replica leads, until ctx ends.
func (g *Global) Run(ctx context.Context) error {
	group := run.NewGroup(g.log)
	group.Add("mirror", g.mirror.Run)
	group.Add("views", func(ctx context.Context) error { return g.views.Run(ctx, g.mirror) })
	group.Add("roots", g.believe)
	group.Add("leader", func(ctx context.Context) error {
		if err := g.mirror.WaitReady(ctx); err != nil {
			return nil
		}
		select { // a process with a root of its own must not lead, not for a moment
		case <-g.trusted:
		case <-ctx.Done():
			return nil
		}
		return term.Lead(ctx, g.deps.Store, g.cfg.ID, g.log, g.lead)
	})
	group.Add("machines", g.machines.Run)
	group.Add("server", g.serve)
	return group.Run(ctx)
}

// lead decides for one term.
func (g *Global) lead(ctx context.Context, t store.Term) error {
	unbroken := g.mirror.Unbroken()
	if err := g.mirror.WaitRevision(ctx, t.Since().Revision); err != nil {
		return err
	}
	writer := store.NewWriter(g.deps.Store, g.mirror, t)
	if err := g.registerRoots(ctx, writer); err != nil {
		return err
	}
	g.reports.begin() // before regions are accepted
	g.writer.Store(writer)
	g.metrics.leading.Set(1)
	defer func() {
		g.writer.Store(nil)
		g.metrics.leading.Set(0)
		// What regions report must reach whoever leads.
		g.sessions.DismissAll("this replica of Global no longer leads")
	}()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return unbroken(ctx) })
	group.Go(func() error { return g.locations.Run(ctx, writer) })
	group.Go(func() error { return g.register.Lead(ctx, writer) })
	group.Go(func() error { return g.allocate(ctx, writer) })
	group.Go(func() error { return g.plan(ctx, writer) })
	return group.Wait()
}

// plan decides on what the hub holds, from when that is reached.
func (g *Global) plan(ctx context.Context, writer *store.Writer) error {
	if err := g.meet(ctx, writer); err != nil {
		return err
	}
	hub := newHub(g.client, g.queue, g.identity)
	b := newBoard(g, hub)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return hub.run(ctx) })
	group.Go(func() error { return b.run(ctx) })
	group.Go(func() error { return g.keepAdvertised(ctx) })
	group.Go(func() error {
		if err := hub.wait(ctx); err != nil {
			return err
		}
		return newPlanner(g, hub, writer, b).run(ctx)
	})
	return group.Wait()
}

// meet waits until the hub's API server is reached and is the one that the store remembers, and remembers the first.
func (g *Global) meet(ctx context.Context, writer *store.Writer) error {
	snapshot := g.mirror.Snapshot()
	g.identity.expect(string(snapshot.Meta(metaHub)))
	g.guard.doubts(len(snapshot.Meta(metaDoubt)) > 0)
	if err := g.identity.await(ctx); err != nil {
		return err
	}
	return g.remember(ctx, writer, nil)
}

// remember writes down the identity of the hub that is accepted now, and with it what else is given.
func (g *Global) remember(ctx context.Context, writer *store.Writer, more map[string][]byte) error {
	meta := map[string][]byte{metaHub: []byte(g.identity.known())}
	maps.Copy(meta, more)
	_, err := writer.Apply(ctx, nil, meta)
	if err != nil {
		return fmt.Errorf("remembering the hub's identity: %w", err)
	}
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
