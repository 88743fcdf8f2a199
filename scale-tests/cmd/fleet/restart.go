package main

import (
	"context"
	"encoding/json"
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
	region, zone := f.topo.regions()[0], f.topo.zones()[0]
	replica := zone + "-0"
	registry, err := f.openStore(nodeSpec{Zone: zone})
	if err != nil {
		return r, err
	}
	defer registry.Close()
	roster, err := f.whole(ctx, registry, zone)
	if err != nil {
		return r, err
	}
	owned := f.ownedBy(roster, zone, replica)
	whole, err := f.begin(ctx)
	if err != nil {
		return r, err
	}
	var worst float64
	for _, restart := range []struct {
		worker string
		wait   func(ctx context.Context, since time.Time) error
	}{
		{"global", func(ctx context.Context, since time.Time) error { return f.awaitChildren(ctx, "global", "", since) }},
		{region, func(ctx context.Context, since time.Time) error { return f.awaitChildren(ctx, region, region, since) }},
		{replica, func(ctx context.Context, since time.Time) (err error) {
			r.took, err = owned.await(ctx, since, func(was, s simagent.Session) bool { return s.Number > was.Number })
			return err
		}},
	} {
		figures, err := f.restart(ctx, restart.worker, restart.wait)
		if err != nil {
			return r, fmt.Errorf("restarting %s: %w", restart.worker, err)
		}
		r.Restarts = append(r.Restarts, figures)
		worst = max(worst, figures.Settle)
	}
	r.Settle, r.percentiles = &worst, percentilesOf(r.took)
	r.cost, err = whole.end(ctx)
	return r, err
}

// restart kills and starts a worker.
func (f *federation) restart(ctx context.Context, name string, wait func(context.Context, time.Time) error) (restartFigures, error) {
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
	client, err := question.Dial(f.query)
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if f.sessionsBack(ctx, worker, region) {
			if node, err := overview(ctx, client); err == nil && settled(node, region, since) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sessionsBack tells, by its metrics, whether a process has as many sessions as children, and nothing to send.
func (f *federation) sessionsBack(ctx context.Context, worker, region string) bool {
	want := len(f.topo.regions())
	if region != "" {
		want = len(slices.DeleteFunc(f.topo.zones(), func(z string) bool { return regionOf(z) != region }))
	}
	samples, err := scrape(ctx, f.workers[worker].spec.Admin)
	if err != nil {
		return false
	}
	c := counters{worker: samples}
	all := func(string) bool { return true }
	return int(c.sum(all, "meridian_feed_sessions", linkChildren)) == want &&
		c.sum(all, "meridian_feed_pending_keys", linkChildren) == 0
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
