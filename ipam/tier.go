package ipam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// How long the loop waits before it tries again what the ledger or the store did not take: doubling from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// lookPause is the least time between two looks at what changed in the ledger, when that is all there is to look at: what
	// is taken and released meanwhile is looked at once.
	lookPause = 20 * time.Millisecond
)

// ErrClosed: the tier's term is over.
var ErrClosed = errors.New("this process allocates no addresses any more: its term is over")

// Writer writes the leader's records; *store.Writer is one.
type Writer interface {
	Apply(ctx context.Context, writes []store.Write, meta map[string][]byte) (changed int, err error)
}

// Machines counts what machines of places below hold; *ipamgrpc.Service does. What they have is released by it.
type Machines interface {
	// Underway are owners of a place, by its path, who may hold something yet although the ledger does not list it.
	Underway(l *ledger.Ledger, path string) []string
	// TakeBack releases what an owner holds. That it holds nothing may be ledger.ErrNotFound.
	TakeBack(ctx context.Context, l *ledger.Ledger, owner string) error
}

// Config is what a Tier works with.
type Config struct {
	// Region and Zone are the place; both empty is Global.
	Region, Zone string
	// Mirror shows the pools, claims, clusters and prefixes; Writer writes the prefixes of the places below. By when the Tier runs
	// the mirror must show all that was written before the ledger was opened: what an owner holds whose claim is not there is
	// released.
	Mirror *store.Mirror
	Writer Writer
	// Ledger is open for the term. Its owner runs and closes it.
	Ledger *ledger.Ledger
	// Tell and Untell are for what goes up: allotments, and from regions and zones demands. They must not block.
	Tell   func(record.Record)
	Untell func(record.Key, record.Cause)
	// Report is told how a pool stands, whenever that has changed; nil: nobody is. It must not block.
	Report func(PoolState)
	// Connected tells whether a child has a session; nil: none has.
	Connected func(child string) bool
	// Reclaimed is told of a child from which all was taken back: what it said counts no more; nil: nobody is. It must not block.
	Reclaimed func(child string)
	// Machines serves machines of places below; nil: none are served.
	Machines Machines
	Log      *slog.Logger
	// Now is the clock of forecasts. Default time.Now.
	Now func() time.Time
}

// Tier is one place's address space, for one term. All methods may be called from several goroutines.
type Tier struct {
	cfg   Config
	ready chan struct{}
	done  chan struct{} // closed when the loop has ended
	inbox *inbox
	calls chan call
	view  atomic.Pointer[view]
	// found counts the last audit's findings by kind.
	found atomic.Pointer[map[string]int]

	// All below is the loop's alone.
	pools    map[string]*pool
	claims   map[string]*claim         // by owner, those to be met here
	unmet    map[string]*claim         // those of them that have nothing
	networks map[string]int            // how many of the place's clusters are on each
	below    map[string]map[string]int // the same of each child
	children map[string]*child
	orphans  map[string]map[netip.Prefix]*orphan // by pool
	settled  bool
	moved    bool        // what children were given has changed since it was shown
	stale    set[string] // the pools that may stand otherwise than was shown
	todo     todo
}

// todo is what the loop has to look at.
type todo struct {
	looks    set[string] // pools, in the ledger
	blocks   set[string] // pools
	asks     set[string] // pools
	orphans  set[string] // pools
	claims   set[string] // owners
	releases set[string] // owners whose claims are gone
	doubts   set[string] // paths of places below that may have left
	given    set[of]
}

func (d todo) any() bool {
	return len(d.looks)+len(d.blocks)+len(d.asks)+len(d.orphans)+len(d.claims)+len(d.releases)+len(d.doubts)+len(d.given) > 0
}

type set[K comparable] map[K]struct{}

func (s set[K]) add(k K) { s[k] = struct{}{} }

func (s set[K]) has(k K) bool {
	_, ok := s[k]
	return ok
}

// call is something that the loop does for somebody who waits.
type call struct {
	do   func(ctx context.Context) error
	done chan error
}

// New makes the tier of a term; Run it.
func New(cfg Config) *Tier {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &Tier{cfg: cfg, ready: make(chan struct{}), done: make(chan struct{}), inbox: newInbox(), calls: make(chan call),
		pools: map[string]*pool{}, claims: map[string]*claim{}, unmet: map[string]*claim{}, networks: map[string]int{},
		below: map[string]map[string]int{}, children: map[string]*child{}, orphans: map[string]map[netip.Prefix]*orphan{}, settled: cfg.Zone != "",
		todo: todo{set[string]{}, set[string]{}, set[string]{}, set[string]{}, set[string]{}, set[string]{}, set[string]{}, set[of]{}}, stale: set[string]{}}
	t.view.Store(&view{})
	t.found.Store(&map[string]int{})
	return t
}

// Ready is closed when all that goes up has been told once: an outbox must not be complete before.
func (t *Tier) Ready() <-chan struct{} { return t.ready }

// Run follows the mirror, the children and the ledger until ctx ends, or until it can go on no more: the ledger or the term is
// another's, or the ledger's etcd was set back (ledger.ErrSetBack).
func (t *Tier) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	updates := make(chan store.Update)
	group.Go(func() error { return t.follow(ctx, updates) })
	group.Go(func() error {
		defer close(t.done)
		return t.loop(ctx, updates)
	})
	group.Go(func() error { return t.inspect(ctx) })
	return group.Wait()
}

// follow hands the mirror's changes to the loop.
func (t *Tier) follow(ctx context.Context, updates chan<- store.Update) error {
	sub := t.cfg.Mirror.Subscribe()
	defer sub.Close()
	for {
		u, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("following the mirror: %w", err)
		}
		select {
		case updates <- u:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inspect audits once, when the tier is ready, and says what it finds.
func (t *Tier) inspect(ctx context.Context) error {
	select {
	case <-t.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	report, err := t.Audit(ctx)
	if err != nil {
		if fatal(ctx, err) {
			return fmt.Errorf("auditing the ledger: %w", err)
		}
		t.cfg.Log.Warn("auditing the ledger", "error", err)
		return nil
	}
	t.cfg.Log.Info("address space audited", "entries", report.Entries, "blocks", report.Blocks, "findings", len(report.Findings))
	return nil
}

// loop owns all state. It works off what there is to do, and waits for more.
func (t *Tier) loop(ctx context.Context, updates <-chan store.Update) error {
	if err := t.begin(ctx, updates); err != nil {
		return err
	}
	pause := firstPause
	for {
		changed := t.cfg.Ledger.Changed()
		var again <-chan time.Time
		err := t.work(ctx)
		switch {
		case err != nil && fatal(ctx, err):
			return err
		case err != nil:
			t.cfg.Log.Warn("allocating addresses", "error", err, "again", pause)
			again = time.After(pause)
			pause = min(2*pause, lastPause)
		case t.todo.any():
			continue
		default:
			pause = firstPause
			t.announce()
		}
		if err := t.await(ctx, updates, changed, again); err != nil {
			return err
		}
	}
}

// await waits until there is something to look at, and takes it in.
func (t *Tier) await(ctx context.Context, updates <-chan store.Update, changed <-chan struct{}, again <-chan time.Time) error {
	looked := time.Now()
	for {
		select {
		case u := <-updates:
			if t.apply(u) {
				return nil
			}
		case <-t.inbox.wake:
			t.hear()
			return nil
		case c := <-t.calls:
			c.done <- c.do(ctx)
			return nil
		case <-changed:
			if changed = nil; again == nil {
				again = time.After(lookPause - time.Since(looked))
			}
		case <-again:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// announce closes ready, the first time that all is done.
func (t *Tier) announce() {
	select {
	case <-t.ready:
	default:
		close(t.ready)
	}
}

// work does all that there is to do. What fails stays to be done; the rest is done all the same, but that nothing is given before
// what children were told is known to be theirs.
func (t *Tier) work(ctx context.Context) error {
	t.refresh()
	errs := []error{t.putBlocks(ctx)}
	if err := t.adopt(ctx); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, step := range []func(context.Context) error{t.release, t.leave, t.meet, t.serve, t.age, t.ask} {
		err := step(ctx)
		if err != nil && fatal(ctx, err) {
			return err
		}
		errs = append(errs, err)
	}
	t.publish()
	return errors.Join(errs...)
}

// fatal tells whether a term cannot go on.
func fatal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ledger.ErrDeposed) || errors.Is(err, ledger.ErrSetBack) ||
		errors.Is(err, ledger.ErrClosed) || errors.Is(err, store.ErrDeposed)
}

// within has the loop do something, and waits until it is done.
func (t *Tier) within(ctx context.Context, do func(ctx context.Context) error) error {
	c := call{done: make(chan error, 1), do: func(term context.Context) error {
		both, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(term, cancel)()
		return do(both)
	}}
	select {
	case t.calls <- c:
		return <-c.done
	case <-t.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ledger is the place's, for reading and for owners that have no claim.
func (t *Tier) Ledger() *ledger.Ledger { return t.cfg.Ledger }
