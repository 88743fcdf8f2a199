package clusteragent

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/feed/feedgrpc"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// patience is for conditions that come about in their own time.
const testPatience = 60 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(testPatience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, testPatience)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("%s: the test ended", what)
		}
	}
}

// zone is a parent that speaks the real protocol, with an Outbox that the test fills.
type zone struct {
	t       testing.TB
	address string
	outbox  *feed.Outbox
	ledger  *feed.Ledger
	stop    func()

	mu       sync.Mutex // guards all below
	fence    feed.Fence
	outcomes map[record.Key]feed.Outcome
	up       map[record.Key]*record.Record
	link     *feedgrpc.Link
	status   feed.Status
	sessions int
}

func newZone(t testing.TB) *zone {
	z := &zone{t: t, outbox: feed.NewOutbox(), ledger: feed.NewLedger(feed.State{}, nil),
		outcomes: map[record.Key]feed.Outcome{}, up: map[record.Key]*record.Record{}}
	z.outbox.SetPosition(feed.Position{Epoch: 7, Revision: 1})
	z.outbox.SetComplete(true)
	z.start("127.0.0.1:0")
	t.Cleanup(func() { z.stop() })
	return z
}

func (z *zone) start(address string) {
	z.t.Helper()
	lis, err := net.Listen("tcp", address)
	if err != nil {
		z.t.Fatal(err)
	}
	z.address = lis.Addr().String()
	srv := feedgrpc.NewServer(feedgrpc.ServerConfig{Hello: feed.Hello{Role: "zone", Path: "region/r/zone/z"}, Log: slog.New(slog.DiscardHandler),
		Accept: func(context.Context, feed.Hello, feedgrpc.Identity) (feedgrpc.Endpoint, error) {
			return z.endpoint(), nil
		}})
	tls := credentials.NewTLS(identity.ServerTLS(tiertest.Source(z.t, "region/r/zone/z"), nil, nil))
	g := grpc.NewServer(append(feedgrpc.ServerOptions(feedgrpc.Limits{}), grpc.Creds(tls))...)
	srv.Register(g)
	var group errgroup.Group
	group.Go(func() error { return g.Serve(lis) })
	z.stop = sync.OnceFunc(func() {
		srv.Close()
		g.Stop()
		if err := group.Wait(); err != nil {
			z.t.Errorf("serving: %v", err)
		}
	})
}

func (z *zone) endpoint() feedgrpc.Endpoint {
	return feedgrpc.Endpoint{Outbox: z.outbox, Ledger: z.ledger, Rank: object.Rank,
		Fence: func() (feed.Fence, bool) { z.mu.Lock(); defer z.mu.Unlock(); return z.fence, true },
		Apply: z.apply,
		Opened: func(l *feedgrpc.Link) {
			z.mu.Lock()
			defer z.mu.Unlock()
			z.link, z.status = l, feed.Status{}
			z.sessions++
		},
		Acked: func(outcomes []feed.Outcome) {
			z.mu.Lock()
			defer z.mu.Unlock()
			for _, o := range outcomes {
				z.outcomes[o.Key] = o
			}
		},
		State: func(s feed.Status) {
			z.mu.Lock()
			defer z.mu.Unlock()
			z.status = s
		},
	}
}

func (z *zone) apply(_ context.Context, b feed.Batch) ([]feed.Rejection, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, r := range b.Puts {
		z.up[r.Key] = r
	}
	for _, r := range b.Removals {
		delete(z.up, r.Key)
	}
	return nil, nil
}

// put sends records and waits until each has taken effect or is rejected.
func (z *zone) put(records ...*record.Record) {
	z.t.Helper()
	z.send(records...)
	for _, r := range records {
		eventually(z.t, "outcome of "+r.Key.String(), func() bool {
			o, ok := z.outcome(r.Key)
			return ok && o.Version == r.Version
		})
	}
}

func (z *zone) send(records ...*record.Record) {
	var edits []feed.Edit
	for _, r := range records {
		edits = append(edits, feed.Put(r))
	}
	z.outbox.Edit(edits...)
}

// remove removes keys as a person would and waits until they are gone.
func (z *zone) remove(keys ...record.Key) {
	z.t.Helper()
	var edits []feed.Edit
	for _, k := range keys {
		edits = append(edits, feed.Remove(k, record.CausePerson))
	}
	z.outbox.Edit(edits...)
	for _, k := range keys {
		eventually(z.t, "removal of "+k.String(), func() bool {
			o, ok := z.outcome(k)
			return ok && o.Version.IsZero() && !o.Held
		})
	}
}

func (z *zone) outcome(key record.Key) (feed.Outcome, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	o, ok := z.outcomes[key]
	return o, ok
}

// rejection is the reason of a key's rejection, empty if it took effect.
func (z *zone) rejection(key record.Key) string {
	if o, _ := z.outcome(key); o.Rejection != nil {
		return o.Rejection.Reason
	}
	return ""
}

// opened is how many sessions there have been.
func (z *zone) opened() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.sessions
}

func (z *zone) standing() feed.Status {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.status
}

func (z *zone) reported(key record.Key) (*record.Record, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	r, ok := z.up[key]
	return r, ok
}

// running is an agent as a process would run it.
type running struct {
	t    testing.TB
	zone *zone
	// before is how many sessions the zone had.
	before int
	stop   func()
}

// settle waits until the agent has all that the zone has for it.
func (a *running) settle() {
	a.t.Helper()
	eventually(a.t, "in sync", func() bool { return a.zone.opened() > a.before && a.zone.standing().InSync })
}

// startAgent runs the agent against a zone, with the agent's role, until it is stopped or the test ends.
func startAgent(t testing.TB, c *localkube.Cluster, z *zone, id string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var g errgroup.Group
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	cfg := Config{Region: "r", Zone: "z", Cluster: "c", ID: id, ZoneAddresses: []string{z.address}}
	a := &running{t: t, zone: z, before: z.opened(), stop: sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})}
	kube := agentConfig(t, c)
	g.Go(func() error {
		return Run(ctx, cfg, Deps{Log: log, Kube: kube, Identity: tiertest.Source(t, "region/r/zone/z/cluster/c")})
	})
	t.Cleanup(a.stop)
	return a
}

// ask asks the agent and reads its answer.
func (z *zone) ask(t testing.TB, kind, payload string) question.Node {
	t.Helper()
	z.mu.Lock()
	l := z.link
	z.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	b, err := l.Ask(ctx, kind, []byte(payload))
	if err != nil {
		t.Fatalf("asking %s: %v", kind, err)
	}
	n, err := question.Decode[question.Node](b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
