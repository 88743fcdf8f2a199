package tiertest

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/record"
)

// Child holds what a parent sends it. What it holds outlives its sessions, and its ledger is made of it each time that it
// starts, as an agent's is of its cluster.
type Child struct {
	hello   feed.Hello
	tls     credentials.TransportCredentials
	targets []string
	// Outbox is what it reports.
	Outbox *feed.Outbox

	mu       sync.Mutex
	changed  chan struct{}
	ledger   *feed.Ledger
	state    feed.State
	held     map[record.Key]record.Record
	writes   int
	reject   func(record.Record) *feed.Rejection
	applied  func(feed.Batch)
	answer   func(feed.Question) ([]byte, error)
	fences   []feed.Fence
	outcomes map[record.Key]feed.Outcome // of what it reports
	stop     func()
	lastLink *feedgrpc.Link
}

// NewChild makes a child of the parent at an address, with its path, such as region/west/zone/west-a, and the certificate
// for it. Start it.
func NewChild(t testing.TB, role, path string, targets ...string) *Child {
	t.Helper()
	place, parent := relations(t, path)
	c := &Child{hello: feed.Hello{Role: role, Path: path}, targets: targets, Outbox: feed.NewOutbox(),
		tls:     credentials.NewTLS(identity.ClientTLS(Source(t, place), parent, nil)),
		changed: make(chan struct{}), held: map[record.Key]record.Record{}, outcomes: map[record.Key]feed.Outcome{}}
	c.Outbox.SetComplete(true)
	t.Cleanup(c.Stop)
	return c
}

// Start connects, as a process that has just begun.
func (c *Child) Start() {
	c.mu.Lock()
	inventory := make([]record.KeyVersion, 0, len(c.held))
	for key, r := range c.held {
		inventory = append(inventory, record.KeyVersion{Key: key, Version: r.Version})
	}
	c.ledger = feed.NewLedger(c.state, func(yield func(record.KeyVersion) bool) {
		for _, kv := range inventory {
			if !yield(kv) {
				return
			}
		}
	})
	ledger := c.ledger
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: c.targets, Hello: c.hello, Credentials: c.tls, Log: slog.New(slog.DiscardHandler)},
			feedgrpc.Endpoint{Outbox: c.Outbox, Ledger: ledger, Apply: c.apply, Answer: c.respond,
				Acked:  c.acked,
				Opened: func(l *feedgrpc.Link) { c.change(func() { c.lastLink = l }) },
				Closed: func(error) { c.change(func() { c.lastLink = nil }) }})
	}()
	c.stop = func() {
		cancel()
		<-done
	}
}

// Target gives the child other addresses to begin with when it starts again.
func (c *Child) Target(addresses ...string) { c.targets = addresses }

// Stop disconnects.
func (c *Child) Stop() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// Reject has the child refuse records; nil accepts all. Applied is called with each batch that took effect.
func (c *Child) Reject(fn func(record.Record) *feed.Rejection) { c.change(func() { c.reject = fn }) }

// Applied has fn called with every batch, before it is acknowledged.
func (c *Child) Applied(fn func(feed.Batch)) { c.change(func() { c.applied = fn }) }

// Answers has the child answer questions.
func (c *Child) Answers(fn func(feed.Question) ([]byte, error)) { c.change(func() { c.answer = fn }) }

// Confirm confirms what the child's ledger refuses or holds back.
func (c *Child) Confirm(what string) error {
	c.mu.Lock()
	ledger := c.ledger
	c.mu.Unlock()
	_, err := ledger.Confirm(feed.Confirmation(what))
	return err
}

func (c *Child) apply(_ context.Context, b feed.Batch) ([]feed.Rejection, error) {
	var rejected []feed.Rejection
	var applied func(feed.Batch)
	c.change(func() {
		c.state = b.State
		c.fences = append(c.fences, b.Fence)
		for _, r := range b.Puts {
			if c.reject != nil {
				if no := c.reject(*r); no != nil {
					no.Key, no.Version = r.Key, r.Version
					rejected = append(rejected, *no)
					continue
				}
			}
			c.held[r.Key] = *r
			c.writes++
		}
		for _, r := range b.Removals {
			delete(c.held, r.Key)
			c.writes++
		}
		applied = c.applied
	})
	if applied != nil {
		applied(b)
	}
	return rejected, nil
}

func (c *Child) acked(outcomes []feed.Outcome) {
	c.change(func() {
		for _, o := range outcomes {
			c.outcomes[o.Key] = o
		}
	})
}

// AwaitOutcome waits until the parent has answered what the child reports under a key, in the version that it has now, and
// returns the rejection, nil if there is none.
func (c *Child) AwaitOutcome(t testing.TB, key record.Key) (rejection *feed.Rejection) {
	t.Helper()
	await(t, "the parent has answered "+key.String(), func() (bool, <-chan struct{}) {
		r, _ := c.Outbox.Get(key)
		c.mu.Lock()
		defer c.mu.Unlock()
		o, ok := c.outcomes[key]
		rejection = o.Rejection
		return ok && r != nil && o.Version == r.Version, c.changed
	})
	return rejection
}

func (c *Child) respond(_ context.Context, q feed.Question) ([]byte, error) {
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	if answer == nil {
		return nil, context.DeadlineExceeded
	}
	return answer(q)
}

func (c *Child) change(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
	close(c.changed)
	c.changed = make(chan struct{})
}

// Held is a copy of what the child holds.
func (c *Child) Held() map[record.Key]record.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.held)
}

// Writes counts records put and removed so far.
func (c *Child) Writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// Fences are those of all batches so far.
func (c *Child) Fences() []feed.Fence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]feed.Fence(nil), c.fences...)
}

// Connected tells whether there is a session.
func (c *Child) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastLink != nil
}

// Await waits until cond holds of what the child holds.
func (c *Child) Await(t testing.TB, what string, cond func(held map[record.Key]record.Record) bool) {
	t.Helper()
	await(t, what, func() (bool, <-chan struct{}) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return cond(maps.Clone(c.held)), c.changed
	})
}

// Ready reports every Deployment that a batch brings as running it, with the replicas that it asks for, and nothing of
// those that go. It is for a child that plays an agent.
func (c *Child) Ready(replicas func(record.Record) int32) {
	c.Applied(func(b feed.Batch) {
		for _, r := range b.Puts {
			if namespace, name, ok := deployment(r.Key); ok {
				n := replicas(*r)
				s := record.Status{Namespace: namespace, Application: name, Workloads: []record.Workload{{Key: r.Key,
					Version: r.Version, Desired: n, Updated: n, Ready: n, ReadyAt: time.Now()}}}.Record()
				c.Outbox.Edit(feed.Put(&s))
			}
		}
		for _, r := range b.Removals {
			if namespace, name, ok := deployment(r.Key); ok {
				c.Outbox.Edit(feed.Remove(record.StatusKey(namespace, name), record.CausePerson))
			}
		}
	})
}
