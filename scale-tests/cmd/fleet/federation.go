package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/identity/identitytest"
	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
	"github.com/meridian-federation/meridian/scale-tests/internal/simagent"
)

// answersWithin bounds a worker's start.
const answersWithin = time.Minute

// The tiers beside those of workers.
const (
	tierHub    = "hub"
	tierAgents = "agents"
)

// federation is a whole Meridian: workers that run the tiers, a hub, and simulated agents in this process.
type federation struct {
	o     options
	fleet *fleet.Fleet
	dir   string
	exe   string
	topo  topology
	hub   *hub
	// identities issues the certificates of all.
	identities *identitytest.Root
	workers    map[string]*worker
	journal    *journal
	agents     []*simagent.Agent
	// past is what the killed workers had counted.
	past counters
	// base are the applications that the hub has.
	base []*application
	// dial makes a client of Global, as a user of the hub's.
	dial func(ctx context.Context) (*question.Client, error)

	// profiling is what takes profiles in the scenario that runs.
	profiling []*errgroup.Group

	agentsDone sync.WaitGroup
	endAgents  context.CancelFunc
	ports      map[int]bool
	// renewals are those of the agents' certificates, where they have any.
	renewals *prometheus.Registry
}

// identityLife is longer than any run: nobody renews, unless leaves are to.
const identityLife = 24 * time.Hour

// worker is one process of this program.
type worker struct {
	spec workerSpec
	file string
}

// newFederation starts everything but the agents, and gives the hub its inventory. The caller stops it, also after an
// error. The context that it returns ends when a process crashes.
func newFederation(ctx context.Context, o options, root, dir string) (*federation, context.Context, error) {
	f := &federation{o: o, dir: dir, topo: newTopology(o.clusters, o.zones, o.regions, o.placed, o.near), workers: map[string]*worker{},
		journal: newJournal(), past: counters{}, ports: map[int]bool{}, endAgents: func() {}, renewals: prometheus.NewRegistry()}
	f.fleet, ctx = fleet.New(ctx, root, dir)
	var err error
	if f.identities, err = identitytest.New(identitytest.Options{Lives: identity.Lives{CA: identityLife, Leaf: o.leafLife()}}); err != nil {
		return f, ctx, err
	}
	if f.exe, err = os.Executable(); err != nil {
		return f, ctx, fmt.Errorf("finding this program: %w", err)
	}
	kube, err := f.fleet.Hub(ctx)
	if err != nil {
		return f, ctx, err
	}
	f.dial = func(ctx context.Context) (*question.Client, error) {
		return hubclient.Dial(ctx, kube.RESTConfig(), hubclient.Options{})
	}
	if f.hub, err = newHub(kube.RESTConfig(), o.writers); err != nil {
		return f, ctx, err
	}
	if err := f.startTiers(ctx, kube.Kubeconfig()); err != nil {
		return f, ctx, err
	}
	if err := f.hub.createNamespace(ctx); err != nil {
		return f, ctx, fmt.Errorf("creating namespace %s: %w", namespace, err)
	}
	for _, list := range f.topo.inventory() {
		if err := f.hub.createAll(ctx, list); err != nil {
			return f, ctx, err
		}
	}
	f.fleet.Meter.Add(tierAgents, os.Getpid())
	return f, ctx, nil
}

// startTiers starts the workers: one for each tier, several for zones, but for a region and a zone's replicas that have one
// each, since they are killed.
func (f *federation) startTiers(ctx context.Context, kubeconfig string) error {
	etcdAt, err := f.port()
	if err != nil {
		return err
	}
	top, err := f.node(nodeSpec{ID: "global"})
	if err != nil {
		return err
	}
	regions, addresses, err := f.regionNodes(top.Listen)
	if err != nil {
		return err
	}
	replicas, zones, err := f.zoneNodes(addresses)
	if err != nil {
		return err
	}
	specs := []workerSpec{{Tier: tierEtcd, Dir: filepath.Join(f.dir, "etcd")},
		{Tier: tierGlobal, Kubeconfig: kubeconfig, Nodes: []nodeSpec{top}}, {Tier: tierRegions, Nodes: regions[:1]}}
	if len(regions) > 1 {
		specs = append(specs, workerSpec{Tier: tierRegions, Nodes: regions[1:]})
	}
	for _, replica := range replicas {
		specs = append(specs, workerSpec{Tier: tierZones, Nodes: []nodeSpec{replica}})
	}
	for some := range slices.Chunk(zones, f.o.zonesPerProcess) {
		specs = append(specs, workerSpec{Tier: tierZones, Nodes: some})
	}
	for _, spec := range specs {
		spec.Etcd = etcdAt
		for i, n := range spec.Nodes {
			dir := filepath.Join(f.dir, "identity", n.ID)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			if spec.Nodes[i].Identity, err = f.issue(dir, n.path()); err != nil {
				return err
			}
		}
		if err := f.add(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

func (f *federation) regionNodes(top string) (nodes []nodeSpec, addresses map[string]string, err error) {
	addresses = map[string]string{}
	for _, r := range f.topo.regions() {
		n, err := f.node(nodeSpec{ID: r, Region: r, Parents: []string{top}})
		if err != nil {
			return nil, nil, err
		}
		addresses[r] = n.Listen
		nodes = append(nodes, n)
	}
	return nodes, addresses, nil
}

// zoneNodes are the replicas of the first zone, which is the one that is broken, and the only replicas of the others.
func (f *federation) zoneNodes(regions map[string]string) (replicas, zones []nodeSpec, err error) {
	for i, z := range f.topo.zones() {
		n := nodeSpec{ID: z, Region: regionOf(z), Zone: z, Parents: []string{regions[regionOf(z)]}}
		if i == 0 {
			if replicas, err = f.replicas(n); err != nil {
				return nil, nil, err
			}
			continue
		}
		if n, err = f.node(n); err != nil {
			return nil, nil, err
		}
		zones = append(zones, n)
	}
	return replicas, zones, nil
}

// replicas are those of one zone. Several gossip, encrypted.
func (f *federation) replicas(of nodeSpec) ([]nodeSpec, error) {
	out := make([]nodeSpec, f.o.replicas)
	for i := range out {
		n := of
		n.ID = fmt.Sprintf("%s-%d", of.Zone, i)
		var err error
		if out[i], err = f.node(n); err != nil {
			return nil, err
		}
	}
	if len(out) == 1 {
		return out, nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	file := filepath.Join(f.dir, "gossip.key")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, err
	}
	var addresses []string
	for range out {
		address, err := f.port()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	for i := range out {
		out[i].Gossip, out[i].Join, out[i].KeyFile = addresses[i], addresses, file
	}
	return out, nil
}

// node gives a node its address.
func (f *federation) node(n nodeSpec) (_ nodeSpec, err error) {
	n.Listen, err = f.port()
	return n, err
}

// port is a loopback address that was given to nobody else.
func (f *federation) port() (string, error) {
	for {
		port, err := process.FreePort()
		if err != nil {
			return "", err
		}
		if !f.ports[port] {
			f.ports[port] = true
			return config.Loopback(port), nil
		}
	}
}

// add starts a worker. Its name is that of its first node, with the number of others.
func (f *federation) add(ctx context.Context, spec workerSpec) (err error) {
	name := spec.Tier
	if n := len(spec.Nodes); n > 0 {
		name = spec.Nodes[0].ID
		if n > 1 {
			name = fmt.Sprintf("%s+%d", name, n-1)
		}
	}
	if spec.Admin, err = f.port(); err != nil {
		return err
	}
	w := &worker{spec: spec, file: filepath.Join(f.dir, name+".json")}
	content, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("describing worker %s: %w", name, err)
	}
	if err := os.WriteFile(w.file, content, 0o600); err != nil {
		return err
	}
	f.workers[name] = w
	return f.start(ctx, name)
}

// start starts a worker, again after kill, and waits until it answers.
func (f *federation) start(ctx context.Context, name string) error {
	w := f.workers[name]
	p, err := f.fleet.Start(process.Spec{Name: name, Path: f.exe, Env: []string{workerEnv + "=" + w.file},
		Log: filepath.Join(f.dir, "logs", name+".log")})
	if err != nil {
		return err
	}
	url := "http://" + w.spec.Admin + "/healthz"
	if w.spec.Tier == tierEtcd {
		url = "http://" + w.spec.Etcd + "/health"
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	return p.AwaitReady(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}

// kill ends a worker as a crash would, and returns when. What it has counted stays in metrics.
func (f *federation) kill(ctx context.Context, name string) (time.Time, error) {
	last, err := scrape(ctx, f.workers[name].spec.Admin)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading worker %s for the last time: %w", name, err)
	}
	f.past.retire(name, last)
	killed := time.Now()
	return killed, f.fleet.Kill(ctx, name)
}

// startAgents starts the agents, which stop ends.
func (f *federation) startAgents(ctx context.Context) error {
	addresses := map[string][]string{}
	for _, w := range f.workers {
		for _, n := range w.spec.Nodes {
			addresses[n.Zone] = append(addresses[n.Zone], n.Listen)
		}
	}
	run, end := context.WithCancel(ctx)
	f.endAgents = end
	for _, c := range f.topo.clusters {
		source, err := f.agentIdentity(run, question.Path{Region: c.region, Zone: c.zone, Cluster: c.name}, addresses[c.zone])
		if err != nil {
			return fmt.Errorf("issuing the certificate of agent %s: %w", c.name, err)
		}
		a := simagent.New(simagent.Config{Region: c.region, Zone: c.zone, Cluster: c.name, Identity: source, Targets: addresses[c.zone],
			Latency: f.o.latency, FailureRate: f.o.failures, RetryAfter: time.Second, Wrote: f.journal.wrote,
			Log: slog.New(slog.DiscardHandler)})
		f.agents = append(f.agents, a)
		f.agentsDone.Go(func() { _ = a.Run(run) }) // it ends without error, having addresses
	}
	return nil
}

// allSynced waits until all agents have agreed with their zones.
func (f *federation) allSynced(ctx context.Context) error {
	for _, a := range f.agents {
		if _, err := a.Await(ctx, isSynced); err != nil {
			return fmt.Errorf("waiting until agent %s has what it should: %w", a.Name(), err)
		}
	}
	return nil
}

func isSynced(s simagent.Session) bool { return s.Open && !s.Synced.IsZero() }

// stop ends everything.
func (f *federation) stop() error {
	f.endAgents()
	f.agentsDone.Wait()
	http.DefaultClient.CloseIdleConnections()
	return f.fleet.Stop()
}

// clusters is how many clusters an application is for.
func (f *federation) clusters(a *application) int { return len(f.topo.slice(a.slice)) }

// metrics reads those of all workers, whose counters go on through all their lives.
func (f *federation) metrics(ctx context.Context) (counters, error) {
	out := counters{}
	for name, w := range f.workers {
		samples, err := scrape(ctx, w.spec.Admin)
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", name, err)
		}
		out[name] = append(samples, f.past[name]...)
	}
	return out, nil
}

// tierOf is the tier of a process by its name.
func (f *federation) tierOf(name string) string {
	if w := f.workers[name]; w != nil {
		return w.spec.Tier
	}
	return name
}
