package clusteragent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/telemetry"
)

// Deps are what the agent does not make itself.
type Deps struct {
	Log *slog.Logger
	// Kube is the cluster's API server, with the rights of deploy/agent.
	Kube *rest.Config
	// Identity is who this process is. Learned is told at which addresses the zone can be reached, and Served at which of them it
	// serves the cluster; both may be nil.
	Identity *identity.Source
	Learned  func(addresses []string)
	Served   func(address string)
	// Health and Registry may be nil.
	Health   *telemetry.Health
	Registry *prometheus.Registry
	Stats    *feed.Stats
}

// releaseWithin bounds the last write of the Lease.
const releaseWithin = 5 * time.Second

var errStarting = errors.New("the objects in the cluster have not been listed")

// Run is the cluster agent, from its start as a standby until ctx ends.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	cfg.Default()
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("configuring the agent: %w", err)
	}
	deps.Log = deps.Log.With("cluster", cfg.Cluster)
	k, err := newKube(deps.Kube)
	if err != nil {
		return err
	}
	l := newLease(k, cfg.ID, cfg.zone(), deps.Log)
	r := &runner{cfg: cfg, deps: deps, kube: k, lease: l}
	if deps.Health != nil {
		deps.Health.Add("cluster", r.ready)
	}
	if deps.Registry != nil {
		if err := r.export(deps.Registry); err != nil {
			return err
		}
	}
	for {
		err := r.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, errLost) {
			return err
		}
		deps.Log.Warn("standing by", "reason", err)
	}
}

// runner runs one active agent after another.
type runner struct {
	cfg   Config
	deps  Deps
	kube  *kube
	lease *lease
	// agent is the active one, nil while standing by; listed tells whether it knows its cluster.
	agent  atomic.Pointer[agent]
	listed atomic.Bool
}

// once waits for the Lease, and works while it is held.
func (r *runner) once(ctx context.Context) error {
	state, err := r.lease.acquire(ctx)
	if err != nil {
		return err
	}
	a := newAgent(r.cfg, r.kube, r.lease, r.deps)
	a.active = func() { r.listed.Store(true) }
	r.agent.Store(a)
	err = a.run(ctx, state)
	r.agent.Store(nil)
	r.listed.Store(false)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
	defer cancel()
	if released := r.lease.release(last); released != nil {
		r.deps.Log.Warn("ending", "error", released)
	}
	return err
}

// ready: a standby is, since there is nothing else that it could do.
func (r *runner) ready(context.Context) error {
	if r.agent.Load() == nil && r.lease.standingBy() || r.listed.Load() {
		return nil
	}
	return errStarting
}

// export adds the agent's metrics.
func (r *runner) export(registry *prometheus.Registry) error {
	gauge := func(name, help string, read func(*agent) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: telemetry.Namespace, Subsystem: "agent",
			Name: name, Help: help}, func() float64 {
			if a := r.agent.Load(); a != nil {
				return float64(read(a))
			}
			return 0
		})
	}
	for _, c := range []prometheus.Collector{
		gauge("active", "1 while this agent holds the cluster's lease.", func(*agent) int { return 1 }),
		gauge("objects", "Objects that are managed.", func(a *agent) int { n, _ := a.desk.count(); return n }),
		gauge("objects_rejected", "Objects that the cluster refused.", func(a *agent) int { _, n := a.desk.count(); return n }),
		gauge("objects_queued", "Objects that wait for a worker.", func(a *agent) int { return a.desk.queue.Len() }),
		gauge("workloads_late", "Workloads that should be gone and whose pods have not ended in a minute.",
			func(a *agent) int { return a.desk.late() }),
		gauge("applications", "Applications with workloads here.", func(a *agent) int { return a.workloads.count() }),
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
