//go:build linux

package zonefaults

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/process"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

const (
	// awaitWithin is generous: a busy machine is slow, and only a failure takes so long.
	awaitWithin = 60 * time.Second
	lookEvery   = 20 * time.Millisecond
	// replicas is how many the zone has.
	replicas = 3
	// firstHost is the number of the first replica's namespace.
	firstHost = 10
	// changeEvery is the pace of changes while something is broken.
	changeEvery = 50 * time.Millisecond
)

// member is a cluster of the zone with its agent, and a witness of what is written there.
type member interface {
	start(t *testing.T, address string)
	stop()
	served(ctx context.Context) error
	objects(ctx context.Context) (map[string]string, error)
	audit(t *testing.T)
	seen(changes map[string]int) bool
	writes() (versions map[string]string, times map[string]int)
	take() []string
	gap() func() time.Duration
}

// fixture is a region, a zone of replicas, its clusters and their agents.
type fixture struct {
	programs
	intent   *intent
	clusters map[string]member
	replicas []*replica
	key      string // file of the gossip's key
	roster   *roster

	changing sync.Mutex // guards held, and a change being made
	held     bool
}

// newFixture starts everything, and ends it with the test.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	_, bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir, keep := os.LookupEnv(keepEnv)
	if !keep {
		dir = t.TempDir()
	}
	f := &fixture{programs: programs{bin: bin, dir: dir}, clusters: map[string]member{}, key: filepath.Join(dir, "gossip.key")}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	must(t, os.WriteFile(f.key, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600))
	must(t, makeNetwork())
	for i := range replicas {
		f.addHost(t, i)
	}
	f.guard, err = newGuard(dir, guarded())
	must(t, err)
	f.startParents(t)
	f.watchRoster(t)
	f.addClusters(t)
	for _, r := range f.replicas {
		f.startReplica(t, r)
	}
	for _, name := range clusters {
		f.clusters[name].start(t, f.address(0))
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addHost makes the namespace of a replica that may be started.
func (f *fixture) addHost(t *testing.T, i int) *replica {
	t.Helper()
	h, err := makeHost(firstHost + i)
	must(t, err)
	r := &replica{id: fmt.Sprintf("zone-%s-%d", zone, i), host: h}
	f.replicas = append(f.replicas, r)
	t.Cleanup(func() {
		if r.proc != nil {
			_ = r.kill(context.Background())
		}
	})
	return r
}

// addClusters makes the clusters, and has witnesses for all that is written in them.
func (f *fixture) addClusters(t *testing.T) {
	t.Helper()
	for _, c := range startClusters(t, f.programs, f.intent, realClusters) {
		f.clusters[c.kube.Name()] = c
		begun := make(chan struct{})
		failed := background(t, func(ctx context.Context) error { return c.watch(ctx, func() { close(begun) }) })
		select {
		case <-begun:
		case err := <-failed:
			t.Fatalf("watching %s: %v", c.kube.Name(), err)
		}
	}
	for _, name := range simulatedClusters {
		f.clusters[name] = newSimulated(name, f.intent)
	}
}

// background runs what must go on until the test ends, and waits for it then. The channel has its error if it fails.
func background(t *testing.T, run func(context.Context) error) <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	failed, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Error(err)
			failed <- err
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return failed
}

// startParents starts the zone's etcd and the region, which is fed by the intent.
func (f *fixture) startParents(t *testing.T) {
	t.Helper()
	endpoint := legStore.address(self, portEtcd)
	f.startParent(t, "etcd", "localkube", endpoint, "etcd", "--etcd-data-dir", f.data("etcd"), "--etcd-listen", endpoint,
		"--etcd-fsync", "--etcd-cert-file", f.files().Cert, "--etcd-key-file", f.files().Key, "--etcd-trusted-ca-file", f.files().CA)
	var err error
	f.intent, err = newIntent(tiertest.NewParent(t, "global"))
	must(t, err)
	port, err := process.FreePort()
	must(t, err)
	admin := config.Loopback(port)
	identity, err := f.identity("region", regionPlace)
	must(t, err)
	f.startParent(t, "region", "meridian-region", admin, append(identity, "--id", "region-0", "--region", region,
		"--global", f.intent.parent.Address, "--listen", legParent.address(self, portRegion), "--admin-address", admin,
		"--etcd-data-dir", f.data("region"), "--settle", "3s")...)
}

// startParent starts a program that runs until the test ends, and is gone when its data is removed.
func (f *fixture) startParent(t *testing.T, name, program, admin string, args ...string) {
	t.Helper()
	proc, err := f.start(t.Context(), nil, name, program, admin, args...)
	if proc != nil {
		t.Cleanup(func() {
			if err := proc.Stop(context.Background(), 0); err != nil {
				t.Error(err)
			}
		})
	}
	must(t, err)
}

// watchRoster follows who claims the clusters.
func (f *fixture) watchRoster(t *testing.T) {
	t.Helper()
	source, err := certfile.Open(f.files(), slog.New(slog.DiscardHandler))
	must(t, err)
	s, err := etcd.Dial(etcd.Config{Endpoints: []string{"https://" + legStore.address(self, portEtcd)}, TLS: source,
		Prefix: prefix, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	f.roster = &roster{}
	background(t, func(ctx context.Context) error { return errors.Join(f.roster.run(ctx, s), s.Close()) })
}

// address is where a replica serves agents.
func (f *fixture) address(replica int) string {
	return legFront.address(f.replicas[replica].host.number, portZone)
}

// guarded are the hosts of etcd, and of the admin servers that are not on loopback.
func guarded() []string {
	addresses := []string{legStore.address(self, portEtcd)}
	for i := range replicas + 1 { // one may come later
		addresses = append(addresses, legFront.address(firstHost+i, portAdmin))
	}
	for i, address := range addresses {
		addresses[i], _, _ = net.SplitHostPort(address)
	}
	return addresses
}

// startReplica starts a replica that does not run.
func (f *fixture) startReplica(t *testing.T, r *replica) {
	t.Helper()
	identity, err := f.identity(r.id, zonePlace)
	must(t, err)
	proc, err := f.start(t.Context(), r.host, r.id, "meridian-zone", r.admin(), append(identity, r.args(f.replicas, f.key, f.guard)...)...)
	r.proc = proc
	must(t, err)
}

// await waits until look is content.
func (f *fixture) await(t *testing.T, what string, look func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), awaitWithin)
	defer cancel()
	if err := await(ctx, look); err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

// stream changes one application after another until the function that it returns is called. hold pauses it.
func (f *fixture) stream(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	f.hold(false)
	go func() {
		tick := time.NewTicker(changeEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
				if err := f.step(); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// step makes a change unless the stream is held.
func (f *fixture) step() error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.held {
		return nil
	}
	return f.intent.change()
}

// hold holds the stream: when it returns no change is being made.
func (f *fixture) hold(held bool) {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.held = held
}

// flows waits until changes made from now on arrive in every cluster, and tells how long that took.
func (f *fixture) flows(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	marks := f.intent.numbers()
	for app := range marks {
		marks[app]++
	}
	f.await(t, "changes arrive in every cluster", func(context.Context) error {
		for name, c := range f.clusters {
			if !c.seen(marks) {
				return fmt.Errorf("%s has not had the changes up to %v", name, marks)
			}
		}
		return nil
	})
	return time.Since(began)
}

// holds fails the test unless, with the changes at an end, every cluster holds what is intended, each write brought
// something new, in order, and the zone has told so upwards.
func (f *fixture) holds(t *testing.T) {
	t.Helper()
	want := f.intent.objects()
	for name, c := range f.clusters {
		f.await(t, name+" holds what is intended, and all writes are seen", func(ctx context.Context) error {
			got, err := c.objects(ctx)
			if err != nil {
				return err
			}
			seen, _ := c.writes()
			if d := differ(got, want) + differ(seen, want); d != "" {
				return errors.New(d)
			}
			return nil
		})
	}
	for app, revision := range f.intent.latest() {
		f.intent.parent.AwaitStatus(t, namespace+"/"+app, "the zone says that "+app+" is applied everywhere", func(s record.Status) bool {
			return s.Revision == revision && int(s.Clusters) == len(clusters) && int(s.Converged) == len(clusters)
		})
	}
	for _, c := range f.clusters {
		c.audit(t)
		for _, fault := range c.take() {
			t.Error(fault)
		}
	}
}
