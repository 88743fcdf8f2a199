package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/deploy/samples"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
)

// Up builds, starts what does not run, submits inventory and samples, and returns when all applications have converged.
// Progress goes to out. After an error what was started keeps running, for a look at it.
func Up(ctx context.Context, o Options, out io.Writer) error {
	if err := o.Validate(); err != nil {
		return err
	}
	l, err := o.layout()
	if err != nil {
		return err
	}
	say := progress(out, time.Now())
	t := newTopology(o)
	if err := t.fits(l); err != nil {
		return err
	}
	say("%s in %s", t, l.dir)
	if err := build(ctx, l, say); err != nil {
		return err
	}
	if err := t.checkPorts(l); err != nil {
		return err
	}
	if err := l.make(); err != nil {
		return err
	}
	if err := t.keep(l); err != nil {
		return err
	}
	if err := l.makeEtcdKeys(t); err != nil {
		return err
	}
	if err := l.makeGossipKey(); err != nil {
		return err
	}
	hub, err := startKubes(ctx, l, t, o, say)
	if err != nil {
		return err
	}
	say("submitting the inventory")
	if err := Apply(ctx, hub, bytes.Join(append(samples.Pools(), t.inventory()), []byte("\n---\n"))); err != nil {
		return err
	}
	if err := startTiers(ctx, l, t, hub, say); err != nil {
		return err
	}
	if !o.NoSamples {
		say("submitting the sample applications")
		if err := Apply(ctx, hub, bytes.Join(samples.Documents(), []byte("\n---\n"))); err != nil {
			return err
		}
	}
	if err := converge(ctx, hub, l, t, say); err != nil {
		return fmt.Errorf("%w; logs are in %s", err, l.logs())
	}
	summary(out, l, t, o)
	return nil
}

// build compiles Meridian's programs and those of the local clusters.
func build(ctx context.Context, l layout, say func(string, ...any)) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("the go command is needed to build the programs: %w", err)
	}
	say("building Meridian")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", l.bin()+string(os.PathSeparator), "./cmd/...")
	cmd.Dir = l.root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Meridian: %w\n%s", err, output)
	}
	say("building the local clusters (the first time this takes some minutes)")
	if err := localkube.Build(ctx, l.root, l.bin(), func(text string) { say("  %s", text) }); err != nil {
		return fmt.Errorf("building the local clusters: %w", err)
	}
	return nil
}

// checkPorts names a port that somebody else holds, before anything is started.
func (t Topology) checkPorts(l layout) error {
	const advice = "choose others with --port-base"
	for _, kube := range t.kubes() {
		name := apiServerName(kube.Name)
		if _, runs := process.Find(process.Spec{Name: name, PidFile: l.pid(name)}); runs {
			continue
		}
		if err := process.CheckPort(config.Loopback(kube.Port)); err != nil {
			return fmt.Errorf("%s: %w; %s", name, err, advice)
		}
	}
	for _, tier := range t.tiers(l) {
		if _, runs := process.Find(tier.spec); runs {
			continue
		}
		for _, port := range tier.ports {
			if err := process.CheckPort(config.Loopback(port)); err != nil {
				return fmt.Errorf("%s: %w; %s", tier.name, err, advice)
			}
		}
	}
	return nil
}

// startKubes starts the hub's API server and the clusters side by side.
func startKubes(ctx context.Context, l layout, t Topology, o Options, say func(string, ...any)) (*rest.Config, error) {
	var hub *rest.Config
	group, ctx2 := errgroup.WithContext(ctx)
	group.SetLimit(2) // starting is bound by CPU
	group.Go(func() error {
		say("starting the API server of the hub")
		kube, err := startHub(ctx2, l, t, o)
		if err != nil {
			return err
		}
		hub = kube.RESTConfig()
		return nil
	})
	for _, c := range t.clusters() {
		group.Go(func() error {
			say("starting cluster %s", c.Name)
			_, err := startCluster(ctx2, l, c, o)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return hub, nil
}

// startTiers starts Meridian's processes from the top down. Those that have no identity yet get a token from Global, which
// knows their places from the inventory.
func startTiers(ctx context.Context, l layout, t Topology, hub *rest.Config, say func(string, ...any)) error {
	tiers := t.tiers(l)
	enroller := newEnroller(l, hub, t.asking(l), tiers)
	for _, tier := range tiers {
		say("starting %s", tier.name)
		if err := enroller.prepare(ctx, &tier); err != nil {
			return err
		}
		if err := tier.start(ctx); err != nil {
			return err
		}
		if err := enroller.done(&tier); err != nil {
			return err
		}
	}
	return nil
}
