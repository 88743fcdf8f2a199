//go:build linux

package zonefaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/process"
)

const (
	readyWithin = time.Minute
	stopWithin  = 30 * time.Second
	tailLines   = 25
	// prefix is where the zone keeps its records in etcd.
	prefix = "/meridian/zone/" + zone
)

// Ports at which things listen, each on its own networks.
const (
	portEtcd, portRegion, portZone, portAdmin, portGossip = 2379, 7410, 7420, 7421, 7425
)

// programs starts processes that end with the test, each with its log in one folder.
type programs struct {
	bin, dir string
	guard
}

func (p programs) data(name string) string { return filepath.Join(p.dir, name) }
func (p programs) log(name string) string  { return filepath.Join(p.dir, "logs", name+".log") }

// start runs a program, in a host's namespace if one is given, and waits until it says at address that it is ready.
func (p programs) start(ctx context.Context, h *host, name, program, address string, args ...string) (*process.Process, error) {
	spec := process.Spec{Name: name, Path: filepath.Join(p.bin, program), Args: args, Log: p.log(name)}
	if h != nil {
		launcher, err := os.Executable()
		if err != nil {
			return nil, err
		}
		spec.Path, spec.Args, spec.Env = launcher, append([]string{spec.Path}, args...), []string{netnsEnv + "=" + h.path()}
	}
	proc, err := process.Start(spec)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return proc, proc.AwaitReady(ctx, local.Ready(p.client, url(address, "/readyz")))
}

// tails shows the end of every log.
func (p programs) tails(t *testing.T) {
	files, err := filepath.Glob(p.log("*"))
	if err != nil {
		t.Log(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil || strings.Contains(file, "apiserver") || strings.HasSuffix(file, "/etcd.log") {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		t.Logf("%s ends with:\n%s", filepath.Base(file), strings.Join(lines[max(0, len(lines)-tailLines):], "\n"))
	}
}

// replica is one process of the zone in its own namespace, which stays when the process ends.
type replica struct {
	id   string
	host *host
	proc *process.Process
}

// args are the zone's, all replicas of which are known to each other.
func (r *replica) args(all []*replica, key string, guard guard) []string {
	args := []string{"--id", r.id, "--region", region, "--zone", zone, "--parent", legParent.address(self, portRegion),
		"--listen", legFront.address(r.host.number, portZone),
		"--etcd-endpoints", "https://" + legStore.address(self, portEtcd), "--etcd-prefix", prefix, "--settle", "3s",
		"--etcd-ca-file", guard.files().CA, "--etcd-cert-file", guard.files().Cert, "--etcd-key-file", guard.files().Key}
	args = append(args, guard.flags(r.admin())...)
	args = append(args, "--gossip-bind", legGossip.address(r.host.number, portGossip), "--gossip-key-file", key)
	for _, other := range all {
		args = append(args, "--gossip-join", legGossip.address(other.host.number, portGossip))
	}
	return args
}

func (r *replica) admin() string { return legFront.address(r.host.number, portAdmin) }

// runs tells whether the process is there.
func (r *replica) runs() bool { return r.proc != nil && r.proc.Alive() }

func (r *replica) signal(sig syscall.Signal) error {
	if err := syscall.Kill(r.proc.Pid(), sig); err != nil {
		return fmt.Errorf("sending %v to %s: %w", sig, r.id, err)
	}
	return nil
}

// halted is an error unless every thread has stopped: after the signal some go on for a moment on a busy machine.
func (r *replica) halted() error {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", r.proc.Pid()))
	if err != nil {
		return err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		// PID (COMMAND) STATE …
		if state := string(b[strings.LastIndexByte(string(b), ')')+1:]); !strings.HasPrefix(state, " T") {
			return fmt.Errorf("%s says%.2s", file, state)
		}
	}
	return nil
}

// kill ends it as a crash would.
func (r *replica) kill(ctx context.Context) error { return r.proc.Stop(ctx, 0) }

// stop asks it to end, which must succeed.
func (r *replica) stop(ctx context.Context) error {
	if err := r.signal(syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	return r.proc.Wait(ctx)
}

// differ says where two sets of versions differ; "" if nowhere.
func differ(got, want map[string]string) string {
	var out []string
	for key, version := range want {
		switch got[key] {
		case version:
		case "":
			out = append(out, key+" is missing")
		default:
			out = append(out, fmt.Sprintf("%s has version %.8s, want %.8s", key, got[key], version))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			out = append(out, key+" should not be there")
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// await waits until look is content, and returns its last error when ctx ends before.
func await(ctx context.Context, look func(context.Context) error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
