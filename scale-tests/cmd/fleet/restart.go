package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// restartFigures say what the restart of one process took.
type restartFigures struct {
	Killed string `json:"killed"`
	// Settle is from the kill until each child of the process had confirmed that it has what it should.
	Settle float64 `json:"settle_s"`
	cost
}

// lookEvery is how often a tree is asked how its sessions stand. An answer costs it about 100 ms of CPU at full size, so
// it is only asked once a restarted process has its sessions back.
const lookEvery = 100 * time.Millisecond

// runRestart kills Global, a region and a zone's replica, each once all has settled, and starts them again at once.
func runRestart(ctx context.Context, f *federation) (result, error) {
	r := result{Scenario: "restart", sizes: f.sizes(f.o.applications)}
	var err error
	if r.Idle, err = f.idle(ctx); err != nil {
		return r, err
	}
	all, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	region := f.topo.regions()[0]
	for _, of := range []struct{ worker, region string }{{"global", ""}, {region, region}} {
		figures, err := f.restart(ctx, of.worker, func(ctx context.Context, since time.Time) error {
			return f.awaitChildren(ctx, of.worker, of.region, since)
		})
		if err != nil {
			return r, err
		}
		r.Restarts = append(r.Restarts, figures)
	}
	figures, took, err := f.restartReplica(ctx)
	if err != nil {
		return r, err
	}
	r.Restarts = append(r.Restarts, figures)
	worst := slices.MaxFunc(r.Restarts, func(a, b restartFigures) int { return cmp.Compare(a.Settle, b.Settle) }).Settle
	r.Settle, r.took, r.percentiles = &worst, took, percentilesOf(took)
	r.cost, err = all.end(ctx)
	return r, err
}

// restartReplica restarts a replica of the first zone, and returns how long each of its agents took to be in sync again.
func (f *federation) restartReplica(ctx context.Context) (figures restartFigures, took []time.Duration, err error) {
	zone := f.topo.zones()[0]
	replica := zone + "-0"
	registry, err := f.openStore(nodeSpec{Zone: zone})
	if err != nil {
		return figures, nil, err
	}
	defer registry.Close()
	roster, err := f.whole(ctx, registry, zone)
	if err != nil {
		return figures, nil, err
	}
	owned := f.ownedBy(roster, zone, replica)
	figures, err = f.restart(ctx, replica, func(ctx context.Context, since time.Time) (err error) {
		took, err = owned.await(ctx, since, func(was, s simagent.Session) bool { return s.Number > was.Number })
		return err
	})
	return figures, took, err
}

// restart kills and starts a worker.
func (f *federation) restart(ctx context.Context, name string, wait func(context.Context, time.Time) error) (_ restartFigures, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restarting %s: %w", name, err)
		}
	}()
	r := restartFigures{Killed: name}
	m, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	killed, err := f.kill(ctx, name)
	if err != nil {
		return r, err
	}
	if err := f.start(ctx, name); err != nil {
		return r, err
	}
	profiled := f.profile(ctx, "restart", name)
	if err := wait(ctx, killed); err != nil {
		return r, err
	}
	r.Settle = latency.Seconds(time.Since(killed))
	if err := f.hub.settle(ctx, f.o.applications); err != nil {
		return r, err
	}
	// What is written late is to be seen.
	if err := linger(ctx, f.o.idle/3); err != nil {
		return r, err
	}
	if r.cost, err = m.end(ctx); err != nil {
		return r, err
	}
	return r, profiled()
}

// awaitChildren waits until all children of Global, or of a region, have acknowledged what they should have, in sessions
// that were opened since.
func (f *federation) awaitChildren(ctx context.Context, worker, region string, since time.Time) error {
	client, err := f.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last error
	for {
		err := f.lookAtChildren(ctx, client, worker, region, since)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		}
	}
}

// lookAtChildren says what is missing until all children have what they should.
func (f *federation) lookAtChildren(ctx context.Context, client *question.Client, worker, region string, since time.Time) error {
	if err := f.sessionsBack(ctx, worker, region); err != nil {
		return err
	}
	node, err := overview(ctx, client)
	if err != nil {
		return err
	}
	if !settled(node, region, since) {
		return fmt.Errorf("not all sessions of %s are in sync", worker)
	}
	return nil
}

// sessionsBack holds, by its metrics, that a process has as many sessions as children, and nothing to send.
func (f *federation) sessionsBack(ctx context.Context, worker, region string) error {
	want := len(f.topo.regions())
	if region != "" {
		want = len(slices.DeleteFunc(f.topo.zones(), func(z string) bool { return regionOf(z) != region }))
	}
	samples, err := scrape(ctx, f.workers[worker].spec.Admin)
	if err != nil {
		return err
	}
	c := counters{worker: samples}
	all := func(string) bool { return true }
	sessions, pending := int(c.sum(all, "meridian_feed_sessions", linkChildren)), c.sum(all, "meridian_feed_pending_keys", linkChildren)
	if sessions != want || pending > 0 {
		return fmt.Errorf("%s has %d sessions and should have %d, and %.0f keys to send", worker, sessions, want, pending)
	}
	return nil
}

// overview asks Global how the tree stands.
func overview(ctx context.Context, client *question.Client) (question.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	payload, err := json.Marshal(question.OverviewRequest{})
	if err != nil {
		return question.Node{}, err
	}
	answer, err := client.Answer(ctx, question.KindOverview, payload)
	if err != nil {
		return question.Node{}, err
	}
	return question.Decode[question.Node](answer)
}

// settled tells whether all sessions of Global, or of a region, were opened since and are in sync.
func settled(node question.Node, region string, since time.Time) bool {
	if region != "" {
		i := slices.IndexFunc(node.Children, func(n question.Node) bool { return n.Name == region })
		if i < 0 {
			return false
		}
		node = node.Children[i]
	}
	if node.Overview == nil || len(node.Overview.Sessions) == 0 {
		return false
	}
	return !slices.ContainsFunc(node.Overview.Sessions, func(s question.Session) bool {
		return !s.Connected || !s.InSync || s.Since.Before(since)
	})
}
