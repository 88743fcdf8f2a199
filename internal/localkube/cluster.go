package localkube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/process"
)

const (
	// startWithin bounds Start on a busy machine.
	startWithin = 3 * time.Minute
	// stopGrace is what a component gets to end by itself.
	stopGrace = 10 * time.Second
	// stopWithin bounds Stop after its kills.
	stopWithin = 30 * time.Second
)

// Cluster is a started cluster.
type Cluster struct {
	cfg    Config
	state  state
	ca     []byte // PEM
	client *http.Client
	procs  map[string]*process.Process // by component
	kept   map[string]bool             // components that ran before Start
}

// Start starts the cluster in cfg.Dir, makes it first if there is none, and
// returns when it is ready: the API server serves and, unless cfg.APIOnly, all
// nodes are Ready. Components that run already, detached, are kept. After an
// error nothing that Start started is left.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	c := &Cluster{cfg: cfg, procs: map[string]*process.Process{}, kept: map[string]bool{}}
	if err := c.start(ctx); err != nil {
		maps.DeleteFunc(c.procs, func(component string, _ *process.Process) bool { return c.kept[component] })
		return nil, errors.Join(fmt.Errorf("starting cluster %s: %w", cfg.Name, err), c.Stop())
	}
	return c, nil
}

// Resume starts again, on the same data, what does not run: everything after
// Stop, or a component that was killed. After an error Stop is still due.
func (c *Cluster) Resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := c.start(ctx); err != nil {
		return fmt.Errorf("resuming cluster %s: %w", c.cfg.Name, err)
	}
	return nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.cfg.validate(); err != nil {
		return err
	}
	if err := c.prepare(); err != nil {
		return err
	}
	var err error
	if c.client, err = rest.HTTPClientFor(c.RESTConfig()); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	for _, component := range c.cfg.components() {
		if err := c.run(component); err != nil {
			return err
		}
	}
	if c.cfg.APIOnly || c.cfg.NoWorkloads {
		return nil
	}
	return c.whileAlive(ctx, c.settle)
}

// prepare writes everything that the processes read.
func (c *Cluster) prepare() error {
	var err error
	if c.state, err = loadState(c.cfg); err != nil {
		return err
	}
	if err := ensureKeys(c.cfg); err != nil {
		return fmt.Errorf("making keys: %w", err)
	}
	if err := c.readCA(); err != nil {
		return err
	}
	if err := writeTokens(c.cfg, c.state); err != nil {
		return err
	}
	if c.cfg.ClientCA != nil {
		if err := writeFile(c.cfg.file(clientCAFile), c.cfg.ClientCA); err != nil {
			return err
		}
	}
	if policy := c.cfg.auditPolicy(); policy != nil {
		if err := writeFile(c.cfg.file(auditPolicyFile), policy); err != nil {
			return err
		}
	}
	return c.writeKubeconfigs()
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	if _, running := process.Find(c.spec(APIServer)); !running {
		if err := process.CheckPort(fmt.Sprintf("127.0.0.1:%d", c.state.Port)); err != nil {
			return err
		}
	}
	if err := c.run(APIServer); err != nil {
		return err
	}
	return c.procs[APIServer].AwaitReady(ctx, c.readyz)
}

// run starts a component unless it runs already.
func (c *Cluster) run(component string) error {
	if p := c.procs[component]; p != nil && p.Alive() {
		return nil
	}
	spec := c.spec(component)
	if p, ok := process.Find(spec); ok {
		c.procs[component] = p
		c.kept[component] = true
		return nil
	}
	p, err := process.Start(spec)
	if err != nil {
		return err
	}
	c.procs[component] = p
	return nil
}

// readyz is nil when the API server answers that it is ready.
func (c *Cluster) readyz(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server()+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s: %s", resp.Status, body)
	}
	return nil
}

// whileAlive runs f and ends it with the crash of a component that dies.
func (c *Cluster) whileAlive(ctx context.Context, f func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range c.procs {
		g.Go(func() error {
			err := p.Wait(ctx)
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	g.Go(func() error {
		defer stop()
		return f(ctx)
	})
	return g.Wait()
}

// Process returns the process of a component, nil if this cluster has none.
func (c *Cluster) Process(component string) *process.Process { return c.procs[component] }

// BinDir is the folder of the programs it runs.
func (c *Cluster) BinDir() string { return c.cfg.BinDir }

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.cfg.Name }

// Stop ends the cluster's processes, those that use the API server first, and
// waits for them. The folder stays.
func (c *Cluster) Stop() error { return c.stop(stopGrace) }

func (c *Cluster) stop(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	err := c.stopComponents(ctx, grace, Kwok, Scheduler, ControllerManager)
	err = errors.Join(err, c.stopComponents(ctx, grace, APIServer))
	if c.client != nil {
		utilnet.CloseIdleConnectionsFor(c.client.Transport)
	}
	return err
}

func (c *Cluster) stopComponents(ctx context.Context, grace time.Duration, components ...string) error {
	var g errgroup.Group
	for name, p := range c.procs {
		if slices.Contains(components, name) {
			g.Go(func() error { return p.Stop(ctx, grace) })
		}
	}
	return g.Wait()
}

// StopDetached stops a cluster by its pid files, whoever started it.
func StopDetached(cfg Config) error {
	c := &Cluster{cfg: cfg.withDefaults(), procs: map[string]*process.Process{}}
	for _, component := range []string{APIServer, ControllerManager, Scheduler, Kwok} {
		if p, ok := process.Find(c.spec(component)); ok {
			c.procs[component] = p
		}
	}
	if err := c.Stop(); err != nil {
		return fmt.Errorf("stopping cluster %s: %w", cfg.Name, err)
	}
	return nil
}
