package global

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// planner is the loop that decides. It alone touches its fields, while Global leads.
type planner struct {
	log     *slog.Logger
	hub     *hub
	queue   *queue
	mirror  *store.Mirror
	writer  *store.Writer
	guard   *guard
	board   *board
	places  *places
	metrics *metrics
	// settled tells whether regions report an application ready at these assignments; scaled says that an autoscaler of
	// its own decides on the replicas.
	settled func(desired map[string]record.Assignment, scaled bool) bool

	inventory *inventory
	claims    *claims
	apps      map[string]*application
	// namespaces and dependents are inverted indexes: applications by namespace, and by what they depend on.
	namespaces index
	dependents index
	callers    *callers
	audiences  *audiences
	quotas     *quotas
	outsiders  *outsiders
	changes    *changes
	// present are the applications that have a spec, by namespace.
	present index

	externals *externals
	pools     *pools
	asks      *asks
	space     holders
	ranges    *ranges
	// remembered are clusters that were set apart in an earlier term, while it is not known whether they are to be.
	remembered map[string]record.Cluster
	reports    *reports
	// first says that nothing was planned yet.
	first bool
}

// application is what the planner knows of one spec.
type application struct {
	plan plan
	now  force // as it was when the plan was made
	// environment in which its dependencies are judged.
	environment string
	// dependencies are those that its plan may hang on, of its spec and of what is in force.
	dependencies []string
	// surplus are the AccessPolicies whose rules it has no room for, shared those of which it cannot open all ports.
	surplus, shared []string
	// leaving is the cause with which zones that are being left go.
	leaving record.Cause
}

// index maps a name to the applications, ExternalServices or AccessPolicies that care for it.
type index map[string]map[string]bool

func (x index) add(name, app string) {
	if x[name] == nil {
		x[name] = map[string]bool{}
	}
	x[name][app] = true
}

func (x index) remove(name, app string) {
	if delete(x[name], app); len(x[name]) == 0 {
		delete(x, name)
	}
}

func newPlanner(g *Global, h *hub, w *store.Writer, b *board) *planner {
	return &planner{log: g.log, hub: h, queue: g.queue, mirror: g.mirror, writer: w, guard: g.guard, board: b, places: newPlaces(g, h),
		metrics: g.metrics, settled: g.reports.settled, claims: newClaims(), apps: map[string]*application{}, namespaces: index{},
		dependents: index{}, callers: newCallers(), audiences: newAudiences(g.cfg.AudienceDelay), quotas: newQuotas(), outsiders: newOutsiders(),
		changes: newChanges(g.deps.Audit), present: index{}, externals: newExternals(), pools: newPools(), asks: newAsks(), ranges: newRanges(),
		remembered: map[string]record.Cluster{}, reports: g.reports, space: g.space, first: true}
}

// run plans until ctx ends or the term does. The hub's resources must have been listed once.
func (p *planner) run(ctx context.Context) error {
	p.restore()
	first := p.queue.take()
	first.inventory = true
	p.missing(&first)
	if err := p.work(ctx, first); err != nil {
		return err
	}
	for {
		var tidy <-chan time.Time // when an audience has said too much for long enough
		if at, ok := p.audiences.next(); ok {
			tidy = time.After(time.Until(at))
		}
		w := newWork()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.queue.wake:
			w = p.queue.take()
		case <-tidy:
		}
		if err := p.work(ctx, w); err != nil {
			return err
		}
	}
}

// restore learns from the records in force who can be called by whom and who depends on whom, and claims the objects of
// their revisions, so that nobody takes over what another holds because its spec happened to be read first.
func (p *planner) restore() {
	snapshot := p.mirror.Snapshot()
	p.acquaint(snapshot)
	for _, err := range []error{p.pools.restore(snapshot), p.asks.restore(snapshot)} {
		if err != nil {
			p.log.Error("stored record of address space cannot be read", "error", err)
		}
	}
	p.recall(snapshot)
	p.recallClaims()
	p.rememberApart()
	claimed := map[record.Key]bool{}
	for e := range snapshot.All(record.KindAssignment) {
		a, err := record.DecodeAssignment(e.Record)
		if err != nil {
			p.log.Error("stored assignment cannot be read", "record", e.Key, "error", err)
			continue
		}
		r, ok := snapshot.Get(record.RevisionKey(a.Namespace, a.Application, a.Revision))
		if !ok || a.Draining || claimed[r.Key] {
			continue
		}
		claimed[r.Key] = true
		revision, err := record.DecodeRevision(r.Record)
		if err == nil {
			err = p.reclaim(revision)
		}
		if err == nil {
			err = p.reckon(revision)
		}
		if err != nil {
			p.log.Error("objects of the revision in force cannot be claimed", "record", r.Key, "error", err)
		}
	}
}

func (p *planner) reclaim(revision record.Revision) error {
	spec, err := mesh.Decode(revision)
	if err != nil {
		return err
	}
	_, err = p.claims.take(record.ServiceName(revision.Namespace, revision.Application), spec.IDs())
	return err
}

// work takes one helping of the queue to the store and the status board.
func (p *planner) work(ctx context.Context, w work) error {
	begun := time.Now()
	defer func() { p.metrics.plans.Observe(time.Since(begun).Seconds()) }()
	if w.confirmed {
		p.release(&w)
	}
	p.screen(&w)
	dirty := newTodo()
	writes := p.poolWrites(ctx, &w, dirty)
	p.measure(&w)
	p.routed(&w)
	writes = append(writes, p.inventoryWrites(w, dirty)...)
	p.rechargeClaims(w.allotted)
	revoked, err := p.revoked(ctx, w)
	if err != nil {
		return err
	}
	for name := range w.applications {
		p.guard.back(name)
		dirty.add(name)
	}
	for name := range w.externals {
		p.guard.back(name)
		dirty.add(name)
	}
	for name := range w.quotas {
		p.requota(name, dirty)
	}
	for namespace := range w.namespaces {
		p.rehome(namespace, dirty)
	}
	for key := range w.policies {
		p.revise(key, dirty)
	}
	p.settling(w, dirty)
	for name := range w.removed {
		dirty.add(name)
	}
	for owner := range w.allotted {
		if key, ok := strings.CutPrefix(owner, ownerExternal); ok {
			dirty.add(externalName(key))
		}
	}
	for key := range w.ipclaims {
		p.guard.back(claimPrefix + key)
		dirty.add(claimPrefix + key)
	}
	for key := range w.unclaimed {
		dirty.add(claimPrefix + key)
	}
	dirty.names = oldest(dirty.in, p.created)
	planned := map[string][]store.Write{}
	for more := true; more; more = p.retry(dirty) {
		for name, ok := dirty.next(); ok; name, ok = dirty.next() {
			if key, ok := strings.CutPrefix(name, claimPrefix); ok {
				w.ipclaims[key] = true
				p.planIPClaim(key, w.unclaimed)
				continue
			}
			if isExternal(name) {
				planned[name] = p.planExternal(name, w.removed, dirty)
				continue
			}
			p.metrics.planned.Inc()
			planned[name] = p.plan(name, w.removed, dirty)
		}
	}
	grown, shrunk := p.audiences.writes(p.mirror.Snapshot(), p.inventory.networksOf, time.Now())
	claimed, ended := p.asks.writes()
	writes = sequence(p.mirror.Snapshot(), slices.Concat(writes, claimed, grown), planned, slices.Concat(shrunk, ended))
	if err := p.commit(ctx, append(revoked, writes...)); err != nil {
		return err
	}
	if w.inventory {
		p.places.settled(ctx, revoked)
	}
	p.first = false
	p.tell(ctx, w, planned, p.publish(w, planned))
	return nil
}

// routed has the inventory looked at where an east-west gateway was given an address.
func (p *planner) routed(w *work) {
	for owner := range w.allotted {
		if _, ask, ok := clusterAsk(owner); ok && ask == askEastWest {
			w.inventory = true
		}
	}
}

// revoked is what is to be written because places have left the inventory.
func (p *planner) revoked(ctx context.Context, w work) ([]store.Write, error) {
	if !w.inventory {
		return nil, nil
	}
	return p.places.settle(ctx, p.inventory, w)
}

// settling has the applications planned again that can let zones go by what regions have told.
func (p *planner) settling(w work, dirty *todo) {
	look := func(name string) {
		if a := p.apps[name]; a != nil && a.plan.draining && p.settled(a.plan.desired, a.plan.scaled) {
			dirty.add(name)
		}
	}
	for name := range w.reported {
		look(name)
	}
	if len(w.regions) > 0 { // one may have told all by now
		for name := range p.apps {
			look(name)
		}
	}
}

// commit writes until it succeeds: a store that is slow or away delays decisions and loses none.
func (p *planner) commit(ctx context.Context, writes []store.Write) error {
	if len(writes) == 0 {
		return nil
	}
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Cap: 5 * time.Second, Steps: 7, Jitter: 0.2}
	for {
		n, err := p.writer.Apply(ctx, writes, nil)
		p.metrics.records.Add(float64(n))
		if err == nil || errors.Is(err, store.ErrDeposed) || ctx.Err() != nil {
			return err
		}
		p.log.Warn("writing records", "writes", len(writes), "error", err)
		pause(ctx, backoff.Step())
	}
}
