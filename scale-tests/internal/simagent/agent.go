// Package simagent plays cluster agents for the harnesses: it speaks the real protocol with a zone, holds what it is sent
// in memory, and reports workloads as ready the moment they are applied. Of an object it keeps only the version and the
// round, which is the number that the image of a Deployment ends with. The harnesses of scale-tests import it.
package simagent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// nodes is how many every simulated cluster says that it has.
const nodes = 3

// Config says whose agent it is and how its cluster behaves.
type Config struct {
	Region, Zone, Cluster string
	// Identity is the agent's.
	Identity *identity.Source
	// Targets are the addresses of the zone's replicas.
	Targets []string
	// Latency is what a cluster takes to apply 16 objects, which is how many an agent writes at once.
	Latency time.Duration
	// FailureRate is the part of all puts, from 0 to 1, that the cluster refuses at first and accepts RetryAfter later.
	FailureRate float64
	RetryAfter  time.Duration
	// Wrote is called with each write to the cluster, in order, and must not block.
	Wrote func(Write)
	Log   *slog.Logger
}

// Agent is the agent of one cluster.
type Agent struct {
	cfg     Config
	cluster *cluster
	outbox  *feed.Outbox
	ledger  *feed.Ledger
	retries sync.WaitGroup

	records, bytes atomic.Int64 // received

	applying sync.Mutex // makes what apply and a retry write one step with looking at offered, which it guards
	// offered are the versions that the zone last wanted.
	offered map[record.Key]record.Version

	mu      sync.Mutex // guards all below
	session Session
	link    *feedgrpc.Link
	changed chan struct{} // closed and replaced when session changes
}

// Session is how the last session of an agent stands.
type Session struct {
	// Number counts the sessions.
	Number int
	Open   bool
	// Synced is when zone and agent had agreed, in this session, on all that the cluster should have; zero is not yet.
	Synced time.Time
	// Fence is the highest that was seen.
	Fence feed.Fence
}

// New makes an agent of an empty cluster.
func New(cfg Config) *Agent {
	a := &Agent{cfg: cfg, cluster: newCluster(cfg.Cluster, cfg.Wrote), outbox: feed.NewOutbox(),
		ledger: feed.NewLedger(feed.State{}, nil), offered: map[record.Key]record.Version{}, changed: make(chan struct{})}
	health := record.Health{Cluster: cfg.Cluster, Zone: cfg.Zone, Region: cfg.Region, Connected: true, Nodes: nodes,
		KubernetesVersion: "v1.34.0"}.Record()
	a.outbox.Edit(feed.Put(&health))
	a.outbox.SetComplete(true)
	return a
}

// Name is the cluster's.
func (a *Agent) Name() string { return a.cfg.Cluster }

// Run keeps a session with the zone until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	defer a.retries.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := question.Path{Region: a.cfg.Region, Zone: a.cfg.Zone, Cluster: a.cfg.Cluster}
	zone, _ := path.Parent()
	return feedgrpc.Run(ctx, feedgrpc.ClientConfig{Targets: a.cfg.Targets, Log: a.cfg.Log,
		Credentials: credentials.NewTLS(identity.ClientTLS(a.cfg.Identity, zone, nil)),
		Hello:       feed.Hello{Role: string(question.TierCluster), Path: path.String(), Release: "simulated"},
	}, feedgrpc.Endpoint{
		Outbox: a.outbox,
		Ledger: a.ledger,
		Apply:  func(batch context.Context, b feed.Batch) ([]feed.Rejection, error) { return a.apply(ctx, batch, b) },
		Answer: a.answer,
		Opened: func(link *feedgrpc.Link) {
			a.change(func() { a.session, a.link = Session{Number: a.session.Number + 1, Open: true}, link })
		},
		Closed: func(error) { a.change(func() { a.session.Open, a.link = false, nil }) },
		State: func(status feed.Status) {
			if status.Heard {
				a.change(a.synced)
			}
		},
	})
}

func (a *Agent) synced() {
	if a.session.Synced.IsZero() {
		a.session.Synced, a.session.Fence = time.Now(), a.ledger.State().Fence
	}
}

func (a *Agent) change(fn func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn()
	close(a.changed)
	a.changed = make(chan struct{})
}

// Session is how the last session stands.
func (a *Agent) Session() Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.session
}

// Await waits until the session satisfies cond, and returns it.
func (a *Agent) Await(ctx context.Context, cond func(Session) bool) (Session, error) {
	for {
		a.mu.Lock()
		session, changed := a.session, a.changed
		a.mu.Unlock()
		if cond(session) {
			return session, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return session, context.Cause(ctx)
		}
	}
}

// Drop ends the session, as a broken connection would, and returns its number. The agent dials again by itself.
func (a *Agent) Drop() int {
	a.mu.Lock()
	link, number := a.link, a.session.Number
	a.mu.Unlock()
	if link != nil {
		link.Close("dropped by the harness")
	}
	return number
}

// Holds lists the versions that the cluster has.
func (a *Agent) Holds() map[record.Key]record.Version { return a.cluster.versions() }

// Received counts the records that the zone sent, the same ones again included, and the bytes of their content.
func (a *Agent) Received() (records, bytes int64) { return a.records.Load(), a.bytes.Load() }

// apply makes a batch effective after the cluster's latency. What is accepted late is written as long as life lasts.
func (a *Agent) apply(life, ctx context.Context, b feed.Batch) ([]feed.Rejection, error) {
	for _, r := range b.Puts {
		a.records.Add(1)
		a.bytes.Add(int64(len(r.Content)))
	}
	rounds := (len(b.Puts) + len(b.Removals) + 15) / 16
	if !pause(ctx, time.Duration(rounds)*a.cfg.Latency) {
		return nil, errors.New("the session ended first")
	}
	a.applying.Lock()
	defer a.applying.Unlock()
	var rejected []feed.Rejection
	for _, r := range b.Puts {
		a.offered[r.Key] = r.Version
		if a.cfg.FailureRate > 0 && rand.Float64() < a.cfg.FailureRate {
			rejected = append(rejected, feed.Rejection{Key: r.Key, Version: r.Version, Reason: "Unavailable"})
			a.retries.Go(func() { a.retry(life, *r) })
			continue
		}
		a.put(*r, b.Fence)
	}
	for _, r := range b.Removals {
		delete(a.offered, r.Key)
		a.cluster.remove(r.Key, b.Fence)
		if namespace, name, ok := deployment(r.Key); ok {
			a.outbox.Edit(feed.Remove(record.StatusKey(namespace, name), record.CausePerson))
		}
	}
	return rejected, nil
}

// retry writes late what was refused.
func (a *Agent) retry(life context.Context, r record.Record) {
	for pause(life, a.cfg.RetryAfter) {
		if a.late(r) {
			return
		}
	}
}

// late writes what was refused, under the fence of now, and tells whether nothing is left to do: it is written, or the zone
// wants something else. Until the session has told the ledger of the refusal there is nobody to tell of the success.
func (a *Agent) late(r record.Record) bool {
	a.applying.Lock()
	defer a.applying.Unlock()
	if a.offered[r.Key] != r.Version || a.cluster.has(r.Key, r.Version) {
		return true
	}
	if !slices.ContainsFunc(a.ledger.Standing().Rejected, func(x feed.Rejection) bool { return x.Key == r.Key && x.Version == r.Version }) {
		return false
	}
	a.put(r, a.ledger.State().Fence)
	a.ledger.Accept(record.KeyVersion{Key: r.Key, Version: r.Version})
	return true
}

func (a *Agent) put(r record.Record, fence feed.Fence) {
	a.cluster.put(r, fence)
	if namespace, name, ok := deployment(r.Key); ok {
		n := int32(number(r.Content, `"replicas":`))
		status := record.Status{Namespace: namespace, Application: name, Workloads: []record.Workload{{Key: r.Key,
			Version: r.Version, Desired: n, Updated: n, Ready: n, ReadyAt: time.Now()}}}.Record()
		a.outbox.Edit(feed.Put(&status))
	}
}

// answer says no more than that the agent is there, and whom it believes.
func (a *Agent) answer(_ context.Context, q feed.Question) ([]byte, error) {
	node := question.Node{Tier: question.TierCluster, Name: a.cfg.Cluster}
	if q.Kind == question.KindOverview {
		node.Overview = &question.Overview{Identity: a.cfg.Identity.Describe()}
	}
	return question.Encode(node)
}

// pause tells whether ctx outlasted d.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
