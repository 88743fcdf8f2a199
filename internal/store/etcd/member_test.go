package etcd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
)

// childMember, in the environment, makes the test binary a member of the store at that endpoint, which answers each line
// that it reads with whether it is fresh.
const childMember = "MERIDIAN_TEST_MEMBER"

func runMember(endpoint string) error {
	s, err := etcd.Dial(etcd.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return err
	}
	m, err := s.Join(context.Background(), store.Member{ID: "child", Address: "child:1"})
	if err != nil {
		return err
	}
	fmt.Println(m.Fresh())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(m.Fresh())
	}
	return nil
}

// memberProcess is a running child.
type memberProcess struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func startMember(t *testing.T, endpoint string) *memberProcess {
	t.Helper()
	p := &memberProcess{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childMember+"="+endpoint)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *memberProcess) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *memberProcess) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // it was killed
	}
}

// says reads the child's next line.
func (p *memberProcess) says(want string) {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatal("the child ended")
	}
	if got := p.out.Text(); got != want {
		p.t.Errorf("fresh: got %s, want %s", got, want)
	}
}

// untilListed waits until the roster lists the child, or does not.
func untilListed(ctx context.Context, t *testing.T, s store.Store, listed bool) {
	t.Helper()
	found := fmt.Errorf("found")
	err := s.WatchRoster(ctx, func(r *store.Roster) error {
		if _, is := r.Members["child"]; is == listed {
			return found
		}
		return nil
	})
	if err != found {
		t.Fatalf("waiting for listed=%t: %v", listed, err)
	}
}

// TestKilledMemberIsListedForItsLease: nobody takes a member off before its lease has ended, which was granted after the
// child began.
func TestKilledMemberIsListedForItsLease(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := serve(t, t.TempDir(), "http://127.0.0.1:0")
	defer stop(t, srv)
	s := openStore(t, srv)
	defer s.Close()
	began := time.Now()
	p := startMember(t, srv.Endpoint())
	p.says("true")
	untilListed(ctx, t, s, true)
	p.kill()
	untilListed(ctx, t, s, false)
	if listed := time.Since(began); listed < store.MemberLease {
		t.Errorf("gone %v after the child began, its lease is %v", listed, store.MemberLease)
	}
}

// TestStoppedMemberIsNotFresh: a process that was stopped past its lease knows it with its first step, before any of its
// timers and before anything that waited in its sockets.
func TestStoppedMemberIsNotFresh(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	srv := serve(t, t.TempDir(), "http://127.0.0.1:0")
	defer stop(t, srv)
	s := openStore(t, srv)
	defer s.Close()
	p := startMember(t, srv.Endpoint())
	defer p.kill() // before the server stops, which waits for its clients
	p.says("true")
	untilListed(ctx, t, s, true)
	p.signal(syscall.SIGSTOP)
	untilListed(ctx, t, s, false)
	if _, err := fmt.Fprintln(p.in); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGCONT)
	p.says("false")
}
