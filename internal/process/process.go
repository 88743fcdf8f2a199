package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollEvery is how often a condition outside this program is looked at again.
const pollEvery = 20 * time.Millisecond

// endingWithin is how long the kernel may take to end a process that was killed.
const endingWithin = 10 * time.Second

// becomingWithin is how long an exec may take, during which a process cannot be told by its environment.
const becomingWithin = time.Second

// markEnv names the environment variable that ties a process to its pid file.
const markEnv = "MERIDIAN_PID_FILE"

// Spec says what to run.
type Spec struct {
	// Name appears in messages.
	Name string
	// Path is the program's file; Args do not repeat it.
	Path string
	Args []string
	// Env is added to this program's own environment.
	Env []string
	// Log receives standard output and error, appended.
	Log string
	// PidFile is written on start and removed on Stop; empty means none. It is
	// required of a detached process.
	PidFile string
	// Detached puts the process in a session of its own, to outlive this program.
	Detached bool
}

// Process is a started program. Its methods may be called from any goroutine.
type Process struct {
	spec    Spec
	pid     int
	adopted bool
	logFrom int64

	done chan struct{} // closed when the process has ended
	exit error         // of Wait; read only after done
}

// Start runs spec. A live process behind spec.PidFile is an error that wraps
// ErrRunning: Find returns it.
func Start(spec Spec) (*Process, error) {
	p, err := start(spec)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	return p, nil
}

// ErrRunning reports that the process is there already.
var ErrRunning = errors.New("already running")

func start(spec Spec) (*Process, error) {
	if spec.Detached && spec.PidFile == "" {
		return nil, errors.New("a detached process needs a pid file")
	}
	if old, ok := Find(spec); ok {
		return nil, fmt.Errorf("process %d: %w", old.pid, ErrRunning)
	}
	out, from, err := openLog(spec.Log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	mark, err := markOf(spec.PidFile)
	if err != nil {
		return nil, err
	}

	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env = append(append(withoutMark(os.Environ()), spec.Env...), mark...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attributes(spec.Detached)

	p := &Process{spec: spec, logFrom: from, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, err
	}
	if spec.PidFile == "" {
		return p, nil
	}
	if err := writePid(spec.PidFile, p.pid); err != nil {
		return nil, errors.Join(err, p.Stop(context.Background(), 0))
	}
	return p, nil
}

// run starts cmd and waits for it on one locked thread: the kernel kills an
// owned child when the thread that forked it ends, not when the program does.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	p.exit = cmd.Wait()
	close(p.done)
}

// Find returns the live process behind spec.PidFile, whoever started it. One
// that has been killed and is not gone yet is waited for, a short while, so that
// none found means that its ports are free; and so is one in the middle of an
// exec.
func Find(spec Spec) (*Process, bool) {
	pid, err := readPid(spec.PidFile)
	if err != nil {
		return nil, false
	}
	for begun := time.Now(); !isMarked(pid, spec.PidFile); time.Sleep(pollEvery) {
		waited := time.Since(begun)
		switch {
		case isEnding(pid) && waited < endingWithin:
		case isBecoming(pid) && waited < becomingWithin:
		case !isMarked(pid, spec.PidFile): // it may have become another program between two looks
			return nil, false
		}
	}
	return &Process{spec: spec, pid: pid, adopted: true, done: make(chan struct{})}, true
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.pid }

// Name is the name it was started with.
func (p *Process) Name() string { return p.spec.Name }

// Alive reports whether the process still runs.
func (p *Process) Alive() bool {
	if p.adopted {
		return isMarked(p.pid, p.spec.PidFile) || isEnding(p.pid)
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait returns when the process has ended: nil for exit status 0, a *Crash
// otherwise. The status of a process found by pid file is unknown and counts as
// a crash.
func (p *Process) Wait(ctx context.Context) error {
	if err := p.ended(ctx); err != nil {
		return err
	}
	return p.crash()
}

// ended waits until the process is gone.
func (p *Process) ended(ctx context.Context) error {
	if !p.adopted {
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for p.Alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *Process) crash() error {
	if p.adopted {
		return &Crash{Name: p.spec.Name, Log: p.spec.Log, Err: errors.New("gone")}
	}
	if p.exit == nil {
		return nil
	}
	return &Crash{Name: p.spec.Name, Log: p.spec.Log, Err: p.exit, Tail: tailOf(p.spec.Log, p.logFrom)}
}

// Stop ends the process, politely at first and after grace by SIGKILL, waits
// until it is gone and removes the pid file. A process that has ended already is
// no error; nor is one that has to be killed.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if p.Alive() && grace > 0 {
		p.signal(syscall.SIGTERM)
		polite, cancel := context.WithTimeout(ctx, grace)
		_ = p.ended(polite)
		cancel()
	}
	if p.Alive() {
		p.signal(syscall.SIGKILL)
		if err := p.ended(ctx); err != nil {
			return fmt.Errorf("stopping %s (process %d): %w", p.spec.Name, p.pid, err)
		}
	}
	if p.spec.PidFile != "" {
		if err := os.Remove(p.spec.PidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("stopping %s: %w", p.spec.Name, err)
		}
	}
	return nil
}

// signal ignores its error: the one it can return is that the process is gone.
func (p *Process) signal(sig syscall.Signal) { _ = syscall.Kill(p.pid, sig) }

func markOf(pidFile string) ([]string, error) {
	if pidFile == "" {
		return nil, nil
	}
	abs, err := filepath.Abs(pidFile)
	if err != nil {
		return nil, err
	}
	return []string{markEnv + "=" + abs}, nil
}

// withoutMark keeps a marked program's children from passing for itself.
func withoutMark(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, v := range env {
		if !strings.HasPrefix(v, markEnv+"=") {
			kept = append(kept, v)
		}
	}
	return kept
}

func readPid(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// writePid replaces the file in one step, so that a reader never sees half of it.
func writePid(file string, pid int) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	next := file + ".new"
	if err := os.WriteFile(next, []byte(strconv.Itoa(pid)+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(next, file)
}
