package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/internal/question"
)

// Names of the default topology.
const (
	westA1, westA2, westB1, eastA1 = "west-a-1", "west-a-2", "west-b-1", "east-a-1"
	// upWithin bounds `meridian up`, programs being built included.
	upWithin = 10 * time.Minute
)

var allClusters = []string{eastA1, westA1, westA2, westB1}

// federation is the run that all tests share.
type federation struct {
	once sync.Once
	err  error

	root, dir string
	base      int // of the ports
	guard     *guard
	// upSaid is what the first `meridian up` printed.
	upSaid string

	run      *local.Run
	question *question.Client
	hubKube  *localkube.Cluster
	hub      dynamic.Interface
	clusters map[string]*cluster
	beats    int
	// seenTo: what the test that runs has failed with was seen to.
	seenTo bool
}

var shared federation

// start returns the shared run, converged.
func start(t *testing.T) *federation {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a whole Meridian")
	}
	f := &shared
	f.once.Do(func() { f.err = f.begin(t) })
	if f.err != nil {
		t.Fatalf("starting a Meridian: %v", f.err)
	}
	f.seenTo = false
	t.Cleanup(func() { f.seeTo(t) })
	f.settled(t)
	return f
}

// seeTo shows the logs of a test that has failed, and starts what it has left dead, so that those after it are not judged
// by that.
func (f *federation) seeTo(t *testing.T) {
	if !t.Failed() || f.seenTo {
		return
	}
	f.seenTo = true
	f.showLogs(t)
	if _, err := f.up(context.Background()); err != nil { // the test's context has ended by now
		t.Logf("bringing everything up again: %v", err)
	}
}

func (f *federation) begin(t *testing.T) error {
	root, err := localkube.FindRoot("")
	if err != nil {
		return err
	}
	f.root = root
	if dir, kept := os.LookupEnv(keepEnv); kept {
		f.base = 15000
		if f.dir, err = filepath.Abs(dir); err != nil { // programs run in other folders
			return err
		}
	} else if err := f.claim(); err != nil {
		return err
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", f.program(), "./cmd/meridian")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the command: %w\n%s", err, out)
	}
	if f.upSaid, err = f.up(t.Context()); err != nil {
		return err
	}
	if err := f.connect(t.Context()); err != nil {
		return err
	}
	return f.apply(t.Context(), beatManifest(0))
}

// claim takes a folder with a guard, and ports. They lie below those that other packages' tests choose from.
func (f *federation) claim() error {
	dir, err := os.MkdirTemp("", "meridian-e2e-")
	if err != nil {
		return err
	}
	f.dir = dir
	if f.guard, err = startGuard(dir); err != nil {
		return err
	}
	const width = 120
	for range 100 {
		f.base = 10000 + width*rand.IntN(50)
		taken := func(port int) bool { return process.CheckPort("127.0.0.1:"+strconv.Itoa(port)) != nil }
		if !slices.ContainsFunc(sequence(f.base, width), taken) {
			return nil
		}
	}
	return errors.New("no free range of ports")
}

func sequence(from, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = from + i
	}
	return out
}

// connect makes the clients. The API servers keep their addresses through restarts.
func (f *federation) connect(ctx context.Context) error {
	o := local.Defaults()
	o.Root, o.Dir, o.AuditLog = f.root, f.dir, true
	var err error
	if f.run, err = local.Open(o); err != nil {
		return err
	}
	if f.hubKube, err = f.run.Kube(ctx, "global"); err != nil {
		return err
	}
	if err := f.dial(ctx); err != nil {
		return err
	}
	if f.hub, err = dynamic.NewForConfig(f.hubKube.RESTConfig()); err != nil {
		return err
	}
	f.clusters = map[string]*cluster{}
	for _, name := range allClusters {
		kube, err := f.run.Kube(ctx, name)
		if err != nil {
			return err
		}
		if f.clusters[name], err = newCluster(kube); err != nil {
			return err
		}
	}
	return nil
}

// dial makes the client of Global's, who is known by the roots of now.
func (f *federation) dial(ctx context.Context) error {
	client, err := hubclient.Dial(ctx, f.hubKube.RESTConfig(), hubclient.Options{})
	if err != nil {
		return err
	}
	if f.question != nil {
		err = f.question.Close()
	}
	f.question = client
	return err
}

// end ends the run unless it is to be kept.
func (f *federation) end() error {
	if f.question != nil {
		if err := f.question.Close(); err != nil {
			return err
		}
	}
	return f.guard.end()
}

func (f *federation) program() string { return filepath.Join(f.root, "bin", "meridian") }

// up runs `meridian up` for this run and returns what it printed.
func (f *federation) up(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	return f.command(ctx, "", "up", "--data-dir", f.dir, "--port-base", strconv.Itoa(f.base), "--audit-log")
}

// command runs the CLI and returns what it printed. The error has what it said on stderr.
func (f *federation) command(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, f.program(), args...)
	cmd.Dir = f.root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(f.dir, "kubeconfigs", "global.yaml"))
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Start()
	if err == nil {
		err = errors.Join(f.guard.watch(cmd.Process.Pid, true), cmd.Wait(), f.guard.watch(cmd.Process.Pid, false))
	}
	if err != nil {
		return out.String(), fmt.Errorf("meridian %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String(), nil
}

// meridian runs the CLI, which must succeed.
func (f *federation) meridian(t *testing.T, args ...string) string {
	t.Helper()
	out, err := f.command(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
