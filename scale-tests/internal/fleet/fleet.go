// Package fleet starts the processes that a harness measures: API servers alone, each with its etcd, and Meridian's
// tiers, built from this checkout. Every etcd syncs to disk, the API servers' as well as the tiers' own. All processes
// end with Stop, and with the harness however that ends. The harnesses of scale-tests import it.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// stopWithin bounds Stop. Nobody will look at the data again, so processes are killed.
const stopWithin = 30 * time.Second

// Fleet is what was started in one folder.
type Fleet struct {
	// Meter counts every process of the fleet by its name.
	Meter *usage.Meter

	root, dir string

	// watched ends when a process crashes, with that as its cause, or with Stop.
	watched context.Context
	crash   context.CancelCauseFunc
	group   sync.WaitGroup // one for each process that is watched

	mu    sync.Mutex // guards all below
	procs map[string]*process.Process
	kubes []*localkube.Cluster
	// told are the processes that are being ended.
	told map[*process.Process]bool
}

// New is a fleet without processes. Its data and logs go to dir; root is the checkout that programs are built from. The
// context that it returns ends with ctx, with Stop, or when a process ends by itself, which is then its cause.
func New(ctx context.Context, root, dir string) (*Fleet, context.Context) {
	f := &Fleet{Meter: usage.NewMeter(), root: root, dir: dir, procs: map[string]*process.Process{}, told: map[*process.Process]bool{}}
	f.watched, f.crash = context.WithCancelCause(ctx)
	return f, f.watched
}

// kubeBin is shared with everything else that runs local clusters: building them takes minutes.
func (f *Fleet) kubeBin() string         { return filepath.Join(f.root, "bin") }
func (f *Fleet) bin() string             { return filepath.Join(f.dir, "bin") }
func (f *Fleet) data(name string) string { return filepath.Join(f.dir, "data", name) }
func (f *Fleet) logs() string            { return filepath.Join(f.dir, "logs") }

// Build compiles, from the checkout at root, the programs of the fleets in dir. What the checkout has now is measured,
// whatever lies in its bin folder.
func Build(ctx context.Context, root, dir string, say func(string)) error {
	f := &Fleet{root: root, dir: dir}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", f.bin()+string(os.PathSeparator), "./cmd/...")
	cmd.Dir = f.root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Meridian: %w\n%s", err, output)
	}
	if err := localkube.Build(ctx, f.root, f.kubeBin(), say); err != nil {
		return fmt.Errorf("building the API servers: %w", err)
	}
	return nil
}

// Members starts API servers side by side, each prepared for an agent, and names them PREFIX-1 and so on.
func (f *Fleet) Members(ctx context.Context, prefix string, n int) ([]*localkube.Cluster, error) {
	members := make([]*localkube.Cluster, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2) // starting is bound by CPU
	for i := range members {
		g.Go(func() (err error) {
			if members[i], err = f.kube(ctx, fmt.Sprintf("%s-%d", prefix, i+1), false); err != nil {
				return err
			}
			return local.Prepare(ctx, members[i])
		})
	}
	return members, g.Wait()
}

// Hub starts the API server of a hub, with Meridian's resources.
func (f *Fleet) Hub(ctx context.Context) (*localkube.Cluster, error) {
	hub, err := f.kube(ctx, Hub, true)
	if err != nil {
		return nil, err
	}
	return hub, hub.InstallCRDs(ctx, crds.All()...)
}

// Start starts a process. One that ended under the same name may have gone before.
func (f *Fleet) Start(spec process.Spec) (*process.Process, error) {
	p, err := process.Start(spec)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.procs[spec.Name] = p
	f.add(spec.Name, p)
	return p, nil
}

// Kill ends a process as a crash would, and waits until it is gone.
func (f *Fleet) Kill(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.procs[name]
	f.told[p] = true
	if err := f.Meter.Retire(name); err != nil {
		return err
	}
	return p.Stop(ctx, 0)
}

// kube starts one API server: alone, or with the controllers that finish deletions, which an agent waits for.
func (f *Fleet) kube(ctx context.Context, name string, alone bool) (*localkube.Cluster, error) {
	kube, err := localkube.Start(ctx, localkube.Config{Name: name, BinDir: f.kubeBin(), Dir: f.data(name), LogDir: f.logs(),
		PidDir: filepath.Join(f.dir, "pids"), APIOnly: alone, NoWorkloads: !alone, Fsync: true})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kubes = append(f.kubes, kube)
	f.add(name, kube.Process(localkube.APIServer))
	if !alone {
		f.add(name+"-controllers", kube.Process(localkube.ControllerManager))
	}
	return kube, nil
}

// add counts a process, and watches it until Stop.
func (f *Fleet) add(name string, p *process.Process) {
	f.Meter.Add(name, p.Pid())
	f.group.Go(func() {
		err := p.Wait(f.watched)
		f.mu.Lock()
		told := f.told[p]
		f.mu.Unlock()
		if told {
			return
		}
		if err == nil {
			err = fmt.Errorf("%s ended by itself", name)
		}
		f.crash(err) // without effect after Stop
	})
}

// Stop ends all processes. The folder stays.
func (f *Fleet) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	f.crash(context.Canceled)
	f.group.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, p := range f.procs {
		errs = append(errs, p.Stop(ctx, 0))
	}
	for _, kube := range f.kubes {
		errs = append(errs, kube.Process(localkube.APIServer).Stop(ctx, 0), kube.Stop())
	}
	f.procs, f.kubes = map[string]*process.Process{}, nil
	return errors.Join(errs...)
}
