package region

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/children"
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/intake"
	"github.com/meridian-federation/meridian/internal/location"
	"github.com/meridian-federation/meridian/internal/question"
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

// Deps are what a region works on. The caller closes the store after Run; Run closes the listener.
type Deps struct {
	Store    store.Store
	Listener net.Listener
	Log      *slog.Logger
	// Audit gets who did what; a nil one discards.
	Audit *audit.Log
	// Identity is who this process is. Authority issues the identities of zones; nil where others do.
	Identity  *identity.Source
	Authority *identity.Authority
	// Ledger is where the region's addresses are kept; a zero Client: nowhere, and it allocates none.
	Ledger ledger.Config
	// Registry takes the region's metrics; it may be nil.
	Registry prometheus.Registerer
}

// Region is one replica of a region.
type Region struct {
	cfg        Config
	store      store.Store
	listener   net.Listener
	log        *slog.Logger
	audit      *audit.Log
	identity   *identity.Source
	authority  *identity.Authority
	mirror     *store.Mirror
	views      *scope.Views
	directory  *directory
	sums       *sums
	space      *space
	allotments *allotments
	locations  *location.Keeper
	export     *location.Export
	tenure     *tenure.Tenure // nil where no addresses are kept
	machines   *ipamgrpc.Service
	zones      *children.Table
	refusals   *children.Refusals
	parent     *intake.Parent
	outbox     *feed.Outbox // what Global is told
	up, down   feed.Stats
	leading    atomic.Bool
	serving    atomic.Bool

	mu      sync.Mutex
	ledgers map[string]*feed.Ledger // guarded by mu; by zone
}

// New prepares a replica.
func New(cfg Config, deps Deps) *Region {
	r := &Region{cfg: cfg, store: deps.Store, listener: deps.Listener, log: deps.Log, audit: deps.Audit,
		identity: deps.Identity, authority: deps.Authority,
		mirror: store.NewMirror(deps.Store, deps.Log), views: scope.NewViews(scope.Zones), zones: children.NewTable(),
		outbox:  feed.NewOutbox(),
		ledgers: map[string]*feed.Ledger{}}
	r.refusals = children.NewRefusals(deps.Registry)
	r.directory = newDirectory(cfg.Region, r.lost)
	r.sums = newSums(cfg.Region, r.mirror, r.outbox)
	r.space = newSpace(cfg.Region, r.outbox, r.directory.holds)
	r.allotments = newAllotments(cfg.Region, r.mirror, r.outbox, deps.Log)
	r.locations = location.New(location.Config{Child: func(c record.Cluster) string { return c.Zone },
		Own: func(region, _ string) bool { return region == cfg.Region }, Grace: cfg.Settle}, r.mirror, deps.Log)
	r.export = location.NewExport(r.outbox)
	r.machines = r.newMachines()
	if deps.Ledger.Client != nil {
		r.tenure = tenure.New(tenure.Config{Region: cfg.Region, Ledger: deps.Ledger, Mirror: r.mirror, Connected: r.connected,
			Machines: r.machines, Log: deps.Log, Registry: deps.Registry})
	}
	r.parent = intake.NewParent(feedgrpc.ClientConfig{Targets: cfg.Global, Hello: r.hello(),
		Credentials: identity.ClientCredentials(deps.Identity, question.Path{}, nil),
		Session:     feed.Config{Stats: &r.up}, Log: deps.Log}, r.answer)
	if deps.Registry != nil {
		deps.Registry.MustRegister(telemetry.FeedCollector("parent", &r.up), telemetry.FeedCollector("children", &r.down),
			telemetry.ScopeCollector(r.views.Sizes), storemetrics.New(r.mirror))
	}
	return r
}

func (r *Region) hello() feed.Hello {
	return feed.Hello{Role: string(question.TierRegion), Release: buildinfo.Read().Version,
		Path: question.Path{Region: r.cfg.Region}.String()}
}

// Check adds the conditions under which the replica is ready. Global is none of them: a region goes on without it.
func (r *Region) Check(h *telemetry.Health) {
	h.Add("mirror", func(context.Context) error {
		if !r.mirror.Ready() {
			return errors.New("the records have not been read yet")
		}
		return nil
	})
	h.Add("listener", func(context.Context) error {
		if !r.serving.Load() {
			return errors.New("zones are not served yet")
		}
		return nil
	})
}

// Run serves zones, and takes records in whenever this replica leads, until ctx ends.
func (r *Region) Run(ctx context.Context) error {
	defer r.listener.Close()
	group := run.NewGroup(r.log)
	group.Add("mirror", func(ctx context.Context) error { return quiet(ctx, r.mirror.Run(ctx)) })
	group.Add("scope", func(ctx context.Context) error { return r.views.Run(ctx, r.mirror) })
	group.Add("parent's grant", func(ctx context.Context) error { return children.Heed(ctx, r.mirror, r.identity, r.log) })
	group.Add("export", func(ctx context.Context) error { return quiet(ctx, r.export.Run(ctx, r.mirror)) })
	group.Add("allotments", func(ctx context.Context) error { return quiet(ctx, r.allotments.follow(ctx)) })
	group.Add("directory", func(ctx context.Context) error { return quiet(ctx, r.directory.run(ctx, r.mirror)) })
	group.Add("leader", func(ctx context.Context) error {
		if err := r.mirror.WaitReady(ctx); err != nil {
			return quiet(ctx, err)
		}
		return term.Lead(ctx, r.store, r.cfg.ID, r.log, r.lead)
	})
	group.Add("reports", r.settle)
	group.Add("machines", r.machines.Run)
	group.Add("zones", r.serve)
	return group.Run(ctx)
}

// lead takes in what Global sends, for one term.
func (r *Region) lead(ctx context.Context, t store.Term) error {
	unbroken := r.mirror.Unbroken()
	if err := r.mirror.WaitRevision(ctx, t.Since().Revision); err != nil {
		return err
	}
	writer := store.NewWriter(r.store, r.mirror, t)
	in, err := intake.New(r.mirror, writer, intake.Rules{Decides: delegates}, r.log)
	if err != nil {
		return err
	}
	r.leading.Store(true)
	defer r.leading.Store(false)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return unbroken(ctx) })
	group.Go(func() error { return r.locations.Run(ctx, writer) })
	group.Go(func() error { return r.allotments.keep(ctx, writer) })
	told := make(chan struct{})
	group.Go(func() error { return r.allocate(ctx, writer, told) })
	group.Go(func() error {
		if err := tenure.Await(ctx, told, r.cfg.Settle); err != nil {
			return err
		}
		return r.parent.Run(ctx, in, r.outbox)
	})
	return group.Wait()
}

// awaitRecords waits until the records are read, and what Global is to know of them is in the outbox.
func (r *Region) awaitRecords(ctx context.Context) error {
	for _, ready := range []<-chan struct{}{r.export.Ready(), r.allotments.ready} {
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return r.mirror.WaitReady(ctx)
}

// serve serves zones from when the records are read.
func (r *Region) serve(ctx context.Context) error {
	if err := r.awaitRecords(ctx); err != nil {
		return quiet(ctx, err)
	}
	r.serving.Store(true)
	return children.Serve(ctx, r.listener, children.Config{
		Feed: feedgrpc.ServerConfig{Hello: r.hello(), Accept: r.accept, Session: feed.Config{Stats: &r.down}, Log: r.log},
		May:  children.Child(question.Path{Region: r.cfg.Region}), Identity: r.identity, Authority: r.authority, Mirror: r.mirror,
		Audit: r.audit, Refusals: r.refusals, More: []func(grpc.ServiceRegistrar){r.machines.Register},
	})
}

// settle reports what there is once the zones have had their time to come back.
func (r *Region) settle(ctx context.Context) error {
	if err := r.awaitRecords(ctx); err != nil {
		return quiet(ctx, err)
	}
	timer := time.NewTimer(r.cfg.Settle)
	defer timer.Stop()
	select {
	case <-timer.C:
		r.sums.open()
		r.space.settle()
		zones := r.directory.zones()
		r.allotments.retain(func(zone string) bool { return slices.Contains(zones, zone) })
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
