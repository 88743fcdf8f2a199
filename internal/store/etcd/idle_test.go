package etcd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// childServer, in the environment, makes the test binary an etcd server with its data there, until its input ends.
const childServer = "MERIDIAN_TEST_SERVER"

func runServer(dir string) error {
	srv, err := etcd.Embed(context.Background(), etcd.EmbedConfig{Dir: dir, Listen: "http://127.0.0.1:0"})
	if err != nil {
		return err
	}
	fmt.Println(srv.Endpoint())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startServer starts a server in a process of its own, so that what it costs is counted apart.
func startServer(b *testing.B) (endpoint string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childServer+"="+b.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // it says nothing
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		b.Fatal("the server ended")
	}
	return lines.Text()
}

// BenchmarkIdle has 100 stores on one etcd, each with what a zone's only replica has: a mirror, a term, a membership and
// a watch of the roster. Nothing happens. It reports what share of a core they take together, without etcd; one
// operation is one second.
func BenchmarkIdle(b *testing.B) {
	endpoint := startServer(b)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var stores []*etcd.Store
	for i := range 100 {
		s, err := etcd.Dial(etcd.Config{Endpoints: []string{endpoint}, Prefix: fmt.Sprintf("/zone/%d", i)})
		if err != nil {
			b.Fatal(err)
		}
		stores = append(stores, s)
		mirror := store.NewMirror(s, slog.New(slog.DiscardHandler))
		wg.Go(func() { _ = mirror.Run(ctx) })
		wg.Go(func() { _ = s.WatchRoster(ctx, func(*store.Roster) error { return nil }) })
		if _, err := s.Campaign(ctx, "a"); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Join(ctx, store.Member{ID: "a", Address: "a:1"}); err != nil {
			b.Fatal(err)
		}
		if err := mirror.WaitReady(ctx); err != nil {
			b.Fatal(err)
		}
	}
	before, switches := cost(b)
	for b.Loop() {
		time.Sleep(time.Second)
	}
	after, switched := cost(b)
	b.ReportMetric(float64(after-before)/float64(b.Elapsed())*100, "%core")
	b.ReportMetric(float64(switched-switches)/b.Elapsed().Seconds(), "switches/s")
	cancel()
	wg.Wait()
	for _, s := range stores {
		wg.Go(func() { _ = s.Close() })
	}
	wg.Wait()
}

// cost is the CPU time that this process has used, and how often its threads went to sleep: the number that a busy
// machine changes less.
func cost(b *testing.B) (cpu time.Duration, switches int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Nvcsw
}
