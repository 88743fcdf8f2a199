package process_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/process"
)

// parentEnv makes this test's binary start an owned child, print its number and
// wait to be killed.
const parentEnv = "PROCESS_TEST_PARENT"

// listenEnv makes it listen at the address, say so, and wait to be killed.
const listenEnv = "PROCESS_TEST_LISTEN"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) != "" {
		beParent()
	}
	if address := os.Getenv(listenEnv); address != "" {
		beListener(address)
	}
	goleak.VerifyTestMain(m)
}

func beParent() {
	p, err := process.Start(process.Spec{Name: "child", Path: "/bin/sleep", Args: []string{"600"}})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(p.Pid()) + "\n")
	select {}
}

// beListener holds memory that takes the kernel a while to free.
func beListener(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	defer l.Close()
	memory := make([]byte, 256<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	os.Stdout.WriteString("up\n")
	select {}
}

func sh(t *testing.T, script string) process.Spec {
	dir := t.TempDir()
	return process.Spec{
		Name:    "script",
		Path:    "/bin/sh",
		Args:    []string{"-c", script},
		Log:     filepath.Join(dir, "script.log"),
		PidFile: filepath.Join(dir, "script.pid"),
	}
}

func start(t *testing.T, spec process.Spec) *process.Process {
	t.Helper()
	p, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p, 0) })
	return p
}

func stop(t *testing.T, p *process.Process, grace time.Duration) {
	t.Helper()
	if err := p.Stop(context.Background(), grace); err != nil {
		t.Error(err)
	}
}

func TestCrashNamesProcessLogAndLastLines(t *testing.T) {
	spec := sh(t, "echo the disk is on fire; exit 3")
	if err := os.WriteFile(spec.Log, []byte("from an earlier run\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := start(t, spec).AwaitReady(t.Context(), func(context.Context) error { return errors.New("not yet") })
	var crash *process.Crash
	if !errors.As(err, &crash) {
		t.Fatalf("got %v, want a crash", err)
	}
	for _, want := range []string{"script ended unexpectedly", "exit status 3", spec.Log, "the disk is on fire"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("message lacks %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "earlier run") {
		t.Errorf("message quotes an earlier run: %v", err)
	}
}

func TestExitStatusZeroIsNoCrash(t *testing.T) {
	if err := start(t, sh(t, "exit 0")).Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		grace        time.Duration
	}{
		{"polite", "echo up; exec sleep 600", time.Minute},
		{"deaf to SIGTERM", "trap '' TERM; echo up; while :; do sleep 1; done", 50 * time.Millisecond},
		{"at once", "echo up; exec sleep 600", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := sh(t, tc.script)
			p := start(t, spec)
			awaitLine(t, p, spec.Log)
			stop(t, p, tc.grace)
			if p.Alive() {
				t.Error("alive after Stop")
			}
			if _, err := os.Stat(spec.PidFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("pid file after Stop: %v", err)
			}
			stop(t, p, tc.grace) // again is no error
		})
	}
}

func awaitLine(t *testing.T, p *process.Process, log string) {
	t.Helper()
	err := p.AwaitReady(t.Context(), func(context.Context) error {
		if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), "up") {
			return errors.New("nothing logged")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDetachedIsFoundByPidFile(t *testing.T) {
	spec := sh(t, "exec sleep 600")
	spec.Detached = true
	p := start(t, spec)

	found, ok := process.Find(spec)
	if !ok || found.Pid() != p.Pid() {
		t.Fatalf("found %v, want process %d", found, p.Pid())
	}
	if _, err := process.Start(spec); !errors.Is(err, process.ErrRunning) {
		t.Errorf("second start: %v, want %v", err, process.ErrRunning)
	}
	stop(t, found, time.Minute)
	var crash *process.Crash
	if err := p.Wait(t.Context()); !errors.As(err, &crash) {
		t.Errorf("its starter sees %v, want the end by a signal", err)
	}
}

func TestPortOfAKilledProcessIsFreeWhenItIsNotFound(t *testing.T) {
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	spec := sh(t, "")
	spec.Path, spec.Args, spec.Env = os.Args[0], nil, []string{listenEnv + "=" + address}
	for range 5 {
		if err := os.WriteFile(spec.Log, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		awaitLine(t, start(t, spec), spec.Log)
		found, ok := process.Find(spec)
		if !ok {
			t.Fatal("the process is not found")
		}
		if err := syscall.Kill(found.Pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for ok {
			_, ok = process.Find(spec)
		}
		if err := process.CheckPort(address); err != nil {
			t.Error(err)
		}
	}
}

func TestStrangerBehindPidFileIsLeftAlone(t *testing.T) {
	stranger := start(t, sh(t, "exec sleep 600"))
	spec := sh(t, "exec sleep 600")
	if err := os.WriteFile(spec.PidFile, []byte(strconv.Itoa(stranger.Pid())), 0o644); err != nil {
		t.Fatal(err)
	}
	if found, ok := process.Find(spec); ok {
		t.Errorf("took process %d for its own", found.Pid())
	}
}

func TestOwnedChildDiesWithKilledParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err == nil {
		t.Error("the killed parent ended well")
	}
	deadline := time.Now().Add(time.Minute)
	for isRunning(child) {
		if time.Now().After(deadline) {
			t.Fatalf("child %d outlives its killed parent", child)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// isRunning does not count a zombie, which waits only for its new parent.
func isRunning(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = process.CheckPort(l.Addr().String())
	var taken *process.PortTaken
	if !errors.As(err, &taken) {
		t.Fatalf("got %v, want a taken port", err)
	}
	if want := "process " + strconv.Itoa(os.Getpid()); !strings.HasPrefix(taken.Holder, want) {
		t.Errorf("holder %q, want %s", taken.Holder, want)
	}
}

func TestFreePortIsFree(t *testing.T) {
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
