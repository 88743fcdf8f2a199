package store

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// How long a Mirror waits before it tries a store again that it lost: doubling from the first to the last, each with
// as much again at random.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2500 * time.Millisecond
)

// Mirror keeps a store's content in memory as a Snapshot, by one Load and then one Watch. While the store cannot be
// reached it goes on serving what it has. All methods may be called from several goroutines.
type Mirror struct {
	store Store
	log   *slog.Logger
	stats Stats

	mu      sync.Mutex
	snap    *Snapshot       // guarded by mu
	ready   bool            // guarded by mu; snap was loaded
	breaks  int             // guarded by mu; how often the store was set back, or was another
	changed chan struct{}   // guarded by mu; closed and replaced whenever snap is
	subs    []*Subscription // guarded by mu
}

// NewMirror makes a mirror, empty until Run has loaded it.
func NewMirror(s Store, log *slog.Logger) *Mirror {
	return &Mirror{store: s, log: log, snap: emptySnapshot(), changed: make(chan struct{})}
}

// Run keeps the mirror up to date until ctx ends, and returns why it did.
func (m *Mirror) Run(ctx context.Context) error {
	wait := firstRetry
	from, loaded := int64(0), false
	for ctx.Err() == nil {
		var err error
		if !loaded {
			from, err = m.load(ctx)
		}
		if err == nil {
			began := func() {
				wait = firstRetry
				m.stats.Connected.Store(1)
			}
			err = m.store.Watch(ctx, from, began, func(delta Delta) error {
				from = delta.Position.Revision
				m.apply(delta)
				return nil
			})
			loaded = !errors.Is(err, ErrCompacted)
		}
		lost := m.stats.Connected.Swap(0) == 1
		if ctx.Err() != nil {
			break
		}
		if lost {
			m.stats.Lost.Add(1)
		}
		m.log.Warn("mirror lost its store", "error", err, "again", wait)
		select {
		case <-time.After(wait + rand.N(wait)):
		case <-ctx.Done():
		}
		wait = min(2*wait, lastRetry)
	}
	return ctx.Err()
}

// Stats are the mirror's, and those of the Writers above it.
func (m *Mirror) Stats() *Stats { return &m.stats }

// Ready tells whether the mirror holds what the store held at some time.
func (m *Mirror) Ready() bool {
	_, ready, _ := m.state()
	return ready
}

// WaitReady waits until the mirror is ready or ctx ends.
func (m *Mirror) WaitReady(ctx context.Context) error {
	return m.wait(ctx, func(_ *Snapshot, ready bool) bool { return ready })
}

// WaitRevision waits until the mirror has reached a revision of the store or ctx ends.
func (m *Mirror) WaitRevision(ctx context.Context, revision int64) error {
	return m.wait(ctx, func(s *Snapshot, ready bool) bool { return ready && s.position.Revision >= revision })
}

// ErrSetBack: the store has gone back to an earlier state, or is another.
var ErrSetBack = errors.New("the store was set back")

// Unbroken returns a function that waits until the mirror sees its store set back, or another one in its place, for the
// first time since Unbroken was called, and returns ErrSetBack; or until ctx ends. A leader calls it before it reads the
// mirror: its term may have begun in a store that the mirror has yet to see.
func (m *Mirror) Unbroken() (wait func(ctx context.Context) error) {
	before := m.broken()
	return func(ctx context.Context) error {
		if err := m.wait(ctx, func(*Snapshot, bool) bool { return m.broken() > before }); err != nil {
			return err
		}
		return ErrSetBack
	}
}

func (m *Mirror) broken() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.breaks
}

// Snapshot is the latest state; before the mirror is ready an empty one.
func (m *Mirror) Snapshot() *Snapshot {
	snap, _, _ := m.state()
	return snap
}

// Subscribe starts a subscription. Its owner closes it.
func (m *Mirror) Subscribe() *Subscription {
	s := &Subscription{
		mirror:  m,
		wake:    make(chan struct{}, 1),
		closed:  make(chan struct{}),
		seen:    emptySnapshot(),
		pending: newPending(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs = append(m.subs, s)
	if m.ready {
		s.publish(m.snap, Delta{})
	}
	return s
}

func (m *Mirror) unsubscribe(s *Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs = slices.DeleteFunc(m.subs, func(o *Subscription) bool { return o == s })
}

func (m *Mirror) state() (*Snapshot, bool, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snap, m.ready, m.changed
}

func (m *Mirror) wait(ctx context.Context, until func(*Snapshot, bool) bool) error {
	for {
		snap, ready, changed := m.state()
		if until(snap, ready) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// load reads the whole store and publishes what differs; it returns the revision to watch from.
func (m *Mirror) load(ctx context.Context) (int64, error) {
	state, err := m.store.Load(ctx)
	if err != nil {
		return 0, err
	}
	m.stats.Loads.Add(1)
	old := m.Snapshot()
	next := &Snapshot{position: state.Position, meta: state.Meta}
	txn := iradix.New[*Entry]().Txn()
	for _, e := range state.Entries {
		if was, ok := old.Get(e.Key); ok && was.Revision == e.Revision && was.Version == e.Version {
			e = was // so that the content is in memory once
		}
		txn.Insert(treeKey(e.Key), e)
	}
	next.entries = txn.CommitOnly()
	if !m.Ready() {
		m.publish(next, Delta{}) // no subscription has begun
		return state.ReadAt, nil
	}
	if next.position.Epoch != old.position.Epoch {
		m.log.Warn("the store has another epoch", "old", old.position, "new", next.position)
		m.breach()
	} else if next.position.Revision < old.position.Revision {
		m.log.Warn("the store was set back", "old", old.position, "new", next.position)
		m.breach()
	}
	m.publish(next, between(old, next))
	return state.ReadAt, nil
}

// breach counts before what was found is published, which wakes those who wait.
func (m *Mirror) breach() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breaks++
}

func (m *Mirror) apply(delta Delta) {
	next, merged := m.Snapshot().with(delta)
	m.publish(next, merged)
}

func (m *Mirror) publish(next *Snapshot, delta Delta) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snap, m.ready = next, true
	close(m.changed)
	m.changed = make(chan struct{})
	for _, s := range m.subs {
		s.publish(next, delta)
	}
}
