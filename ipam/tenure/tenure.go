// Package tenure runs a place's address space while its process leads: it opens the ledger, runs that and an ipam.Tier on it,
// and opens it again when it was lost. Whatever becomes of the ledger, the term goes on without it:
//
//	Open ──▶ Tier and ledger run ──▶ the ledger is lost: another's, unreachable ──▶ Open, after a pause
//	  │                       └────▶ its etcd was set back ─┐
//	  └── its etcd was set back ────────────────────────────┴─▶ each claim is told so ──▶ Repair ──▶ Open
//
// Global, regions and zones import the package; it knows none of them.
package tenure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/ipam"
	"github.com/meridian-federation/meridian/ipam/ledger"
)

// Pauses before a ledger that was lost, or could not be opened, is opened again: doubling from the first to the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Config is what lasts from term to term.
type Config struct {
	// Region and Zone are the place; both empty is Global.
	Region, Zone string
	// Ledger says where the place's ledger is.
	Ledger ledger.Config
	Mirror *store.Mirror
	// Report and Connected are the Tier's.
	Report    func(ipam.PoolState)
	Connected func(child string) bool
	// Machines is the Tier's.
	Machines ipam.Machines
	Log      *slog.Logger
	// Registry takes the metrics of the present Tier, and whether etcd was set back; it may be nil.
	Registry prometheus.Registerer
}

// Term is what there is while the process leads.
type Term struct {
	Writer ipam.Writer
	// Tell and Untell are for what goes up. They must not block.
	Tell   func(record.Record)
	Untell func(record.Key, record.Cause)
	// Reclaimed is the Tier's.
	Reclaimed func(child string)
	// Began is called with each Tier before it runs, and with nil when it has ended; nil: nobody is told. Calls do not overlap.
	Began func(*ipam.Tier)
	// Told is closed when all that goes up has been told once, or of each claim that etcd was set back. A place tells its parent
	// nothing before, for the parent would take what is missing for gone. Nil where there is no parent.
	Told chan<- struct{}
}

// Await waits until told is closed, for so long at most: a place goes on without its addresses.
func Await(ctx context.Context, told <-chan struct{}, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-told:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Tenure is one process's part in a place's address space. All methods may be called from several goroutines.
type Tenure struct {
	cfg      Config
	metrics  *ipam.Collector
	tier     atomic.Pointer[ipam.Tier]
	setBack  atomic.Pointer[error]
	leading  atomic.Bool
	repaired chan struct{} // holds one token when the ledger may be opened again
}

// New makes a tenure; Run it in each term.
func New(cfg Config) *Tenure {
	t := &Tenure{cfg: cfg, metrics: ipam.NewCollector(), repaired: make(chan struct{}, 1)}
	if cfg.Registry != nil {
		cfg.Registry.MustRegister(t.metrics)
	}
	return t
}

// Tier is the present one; nil while this process does not lead, or the ledger is not open.
func (t *Tenure) Tier() *ipam.Tier { return t.tier.Load() }

// SetBack is why nothing is allocated, an ErrSetBack of package ledger, from when that is found until Repair or until the term
// ends; else nil.
func (t *Tenure) SetBack() error {
	if err := t.setBack.Load(); err != nil {
		return *err
	}
	return nil
}

// Run allocates until ctx ends or the term is another's, and returns why.
func (t *Tenure) Run(ctx context.Context, term Term) error {
	told := sync.OnceFunc(func() {
		if term.Told != nil {
			close(term.Told)
		}
	})
	t.leading.Store(true)
	defer t.leading.Store(false)
	pause := firstPause
	for {
		began := time.Now()
		err := t.serve(ctx, term, told)
		if errors.Is(err, ledger.ErrSetBack) && ctx.Err() == nil {
			err = t.refuse(ctx, term, err, told)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrDeposed):
			return err
		case err == nil || time.Since(began) > lastPause:
			pause = firstPause
		}
		if err == nil {
			continue // it was repaired
		}
		t.cfg.Log.Warn("no addresses are allocated", "error", err, "again", pause)
		if err := rest(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// serve opens the ledger and runs a Tier on it, until one of them ends.
func (t *Tenure) serve(ctx context.Context, term Term, told func()) (err error) {
	if name := t.cfg.Ledger.Witness; name != "" {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return fmt.Errorf("making the folder of the ledger's witness: %w", err)
		}
	}
	l, err := ledger.Open(ctx, t.cfg.Ledger)
	if err != nil {
		return fmt.Errorf("opening the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := prove(ctx, term.Writer); err != nil {
		return err
	}
	tier := ipam.New(ipam.Config{Region: t.cfg.Region, Zone: t.cfg.Zone, Mirror: t.cfg.Mirror, Writer: term.Writer, Ledger: l,
		Tell: term.Tell, Untell: term.Untell, Reclaimed: term.Reclaimed, Report: t.cfg.Report, Connected: t.cfg.Connected, Machines: t.cfg.Machines,
		Log: t.cfg.Log})
	t.begin(term, tier)
	defer t.begin(term, nil)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.Run(ctx) })
	group.Go(func() error { return tier.Run(ctx) })
	select {
	case <-tier.Ready():
		told()
	case <-ctx.Done():
	}
	return group.Wait()
}

// metaOpened names the meta value that is written when the ledger has been opened.
const metaOpened = "ledger"

// prove writes to the tier's store, with the ledger open. That succeeds only in the term, and returns when the mirror shows it: so
// whatever the ledger holds was claimed by records that the mirror shows. A process that had stopped, and does not know yet
// that others have led since, would otherwise release what was claimed meanwhile.
func prove(ctx context.Context, writer ipam.Writer) error {
	if _, err := writer.Apply(ctx, nil, map[string][]byte{metaOpened: []byte(rand.Text())}); err != nil {
		return fmt.Errorf("making sure that the term goes on: %w", err)
	}
	return nil
}

func (t *Tenure) begin(term Term, tier *ipam.Tier) {
	t.tier.Store(tier)
	t.metrics.Show(tier)
	if term.Began != nil {
		term.Began(tier)
	}
}

// Errors of Repair.
var (
	ErrFollows = errors.New("another process leads, and has the ledger")
	ErrSound   = errors.New("the ledger is open: there is nothing to repair")
)

// Repair accepts a ledger that cannot be opened, because its etcd was set back or the witness cannot be read, as it is, and
// reports what it finds there.
func (t *Tenure) Repair(ctx context.Context) (ledger.Report, error) {
	switch {
	case !t.leading.Load():
		return ledger.Report{}, ErrFollows
	case t.Tier() != nil:
		return ledger.Report{}, ErrSound
	}
	report, err := ledger.Repair(ctx, t.cfg.Ledger)
	if err != nil {
		return report, fmt.Errorf("repairing the ledger: %w", err)
	}
	select {
	case t.repaired <- struct{}{}:
	default:
	}
	return report, nil
}

// rest pauses, or returns why ctx ended.
func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
