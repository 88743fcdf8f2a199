package location

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

const (
	// writePause is the least time between two writes: what comes meanwhile shares the next. The first after a quiet time
	// does not wait.
	writePause = 20 * time.Millisecond
	// againPause is how long the keeper waits after a write that the store did not take.
	againPause = 200 * time.Millisecond
)

// Writer writes the leader's records; *store.Writer is one.
type Writer interface {
	Apply(ctx context.Context, writes []store.Write, meta map[string][]byte) (changed int, err error)
}

// Config is what differs between tiers.
type Config struct {
	// Child is the child that speaks for a cluster; with an Origin, the cluster itself.
	Child func(record.Cluster) string
	// Own tells whether a record with this region and zone was written by the tier or below it. It is asked of clusters that
	// the inventory does not list any more.
	Own func(region, zone string) bool
	// Grace is how long a child may be away before what it speaks for counts as stale.
	Grace time.Duration
	// Origin is set in the tier that writes locations first, and nil in those that relay them.
	Origin *Origin
}

// Origin is what the tier adds that writes locations first: its children tell locations without epoch and sequence, and
// no places.
type Origin struct {
	// Needed tells whether a location is of use to anybody.
	Needed func(*store.Snapshot, record.Location) bool
	// Inventory is told of the clusters when a term begins and whenever records of clusters have changed, before Needed is
	// asked for what follows.
	Inventory func(*store.Snapshot)
	// Place is where a cluster is found.
	Place func(record.Cluster) record.Place
}

// Keeper brings the tier's store in line with what its children say. It outlives terms where the children's sessions do.
// All methods may be called from several goroutines.
type Keeper struct {
	cfg    Config
	mirror *store.Mirror
	log    *slog.Logger
	wake   chan struct{}

	mu sync.Mutex // guards all below
	// term is the number of the term, counted from the keeper's first.
	term     int
	words    words
	children map[string]*child
	dirty    map[record.Key]touch
	// kept are the locations that the store holds of the tier's own clusters, by cluster.
	kept map[string]map[record.Key]struct{}
}

// touch is why a key is looked at.
type touch struct {
	// cause is for its removal, if it is to be removed.
	cause record.Cause
	// dropped: the child said itself that it is gone.
	dropped bool
}

// child is one that speaks for clusters.
type child struct {
	connected bool
	// fresh: it has told all in its present session; told: once in this term. Before, of what it said in an earlier term only
	// what it says again counts.
	fresh, told bool
	// lost is when it was lost; stale: that is longer ago than the grace, or was when it came back, and it has not told all
	// since.
	lost  time.Time
	stale bool
}

// New makes a keeper.
func New(cfg Config, mirror *store.Mirror, log *slog.Logger) *Keeper {
	return &Keeper{cfg: cfg, mirror: mirror, log: log, wake: make(chan struct{}, 1), words: newWords(),
		children: map[string]*child{}, dirty: map[record.Key]touch{}, kept: map[string]map[record.Key]struct{}{}}
}

// Run writes for one term, until ctx or the term ends.
func (k *Keeper) Run(ctx context.Context, writer Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	began := make(chan struct{})
	group.Go(func() error { return k.follow(ctx, began) })
	group.Go(func() error {
		select {
		case <-began:
			return k.work(ctx, writer)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return group.Wait()
}

// follow takes in the changes of the store.
func (k *Keeper) follow(ctx context.Context, began chan<- struct{}) error {
	sub := k.mirror.Subscribe()
	defer sub.Close()
	for first := true; ; first = false {
		u, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("following the mirror: %w", err)
		}
		k.mu.Lock()
		if first {
			k.begin(u.New, time.Now())
			close(began)
		} else {
			k.apply(u)
		}
		k.mu.Unlock()
		k.signal()
	}
}

// work writes what is dirty, until ctx ends.
func (k *Keeper) work(ctx context.Context, writer Writer) error {
	for {
		due := k.age(time.Now())
		var timer <-chan time.Time
		if !due.IsZero() {
			timer = time.After(time.Until(due))
		}
		if touched := k.take(); len(touched) > 0 {
			if err := k.write(ctx, writer, touched); err != nil {
				return err
			}
			continue
		}
		select {
		case <-k.wake:
		case <-timer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write writes what follows for the keys, and pauses. A write that fails is tried again, as things are then.
func (k *Keeper) write(ctx context.Context, writer Writer, touched map[record.Key]touch) error {
	pause := writePause
	if writes := k.decide(touched); len(writes) > 0 {
		changed, err := writer.Apply(ctx, writes, nil)
		switch {
		case errors.Is(err, store.ErrDeposed) || err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			k.log.Warn("writing locations", "error", err, "again", againPause)
			k.again(touched)
			pause = againPause
		default:
			k.log.Debug("locations written", "changed", changed)
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *Keeper) take() map[record.Key]touch {
	k.mu.Lock()
	defer k.mu.Unlock()
	touched := k.dirty
	k.dirty = map[record.Key]touch{}
	return touched
}

// again puts keys back that were not written. What was said of them since counts, but that a child dropped one is not
// undone by a change of the store meanwhile.
func (k *Keeper) again(touched map[record.Key]touch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, t := range touched {
		since, touched := k.dirty[key]
		if _, said := k.words.all[key]; touched && said {
			continue
		}
		k.dirty[key] = touch{cause: max(t.cause, since.cause), dropped: t.dropped || since.dropped}
	}
}

func (k *Keeper) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
