package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/process"
)

const (
	// guardEnv makes this program the guard of the folder that it names.
	guardEnv = "MERIDIAN_E2E_GUARD"
	// keepEnv names a folder whose run is used and kept.
	keepEnv = "MERIDIAN_E2E_DIR"
	// endWithin bounds the guard's work.
	endWithin = 2 * time.Minute
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(guardEnv); dir != "" {
		if err := stand(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, "ending the run:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// guard is a process that ends a run when it is told to, or when this program is gone. The nil guard does nothing.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
	said strings.Builder
}

// startGuard starts the guard of the run in dir.
func startGuard(dir string) (*guard, error) {
	g := &guard{cmd: exec.Command(os.Args[0])}
	g.cmd.Env = append(os.Environ(), guardEnv+"="+dir)
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt from the keyboard must not reach it
	g.cmd.Stderr = &g.said
	var err error
	if g.pipe, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return g, g.cmd.Start()
}

// watch tells the guard of a command that runs, or no longer does. One that outlives this program would go on to start
// what the guard has ended.
func (g *guard) watch(pid int, runs bool) error {
	if g == nil {
		return nil
	}
	_, err := fmt.Fprintln(g.pipe, pid, runs)
	return err
}

// end has the run ended.
func (g *guard) end() error {
	if g == nil {
		return nil
	}
	if err := errors.Join(g.pipe.Close(), g.cmd.Wait()); err != nil {
		return fmt.Errorf("%w: %s", err, g.said.String())
	}
	return nil
}

// stand is the guard's own work: it reads until its input ends, which is when the tests have ended, and then ends
// everything in dir.
func stand(dir string) error {
	commands := map[int]bool{}
	for {
		var pid int
		var runs bool
		if _, err := fmt.Fscanln(os.Stdin, &pid, &runs); err != nil {
			break
		}
		commands[pid] = runs
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	var errs []error
	for pid, runs := range commands {
		if runs {
			errs = append(errs, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	return errors.Join(append(errs, killAll(ctx, dir), os.RemoveAll(dir))...)
}

// killAll kills what has a pid file in dir. Nobody will look at the data again.
func killAll(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "pids", "*.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if p, runs := process.Find(process.Spec{Name: filepath.Base(file), PidFile: file}); runs {
			err = errors.Join(err, p.Stop(ctx, 0))
		}
	}
	return err
}
