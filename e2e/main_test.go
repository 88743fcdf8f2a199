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

	"github.com/meridian-federation/meridian/internal/local"
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
		if err := guard(dir); err != nil {
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

// startGuard starts a process that ends the run in dir when the function that is returned is called, or when this
// program is gone.
func startGuard(dir string) (end func() error, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), guardEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt from the keyboard must not reach it
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	}, nil
}

// guard waits until its input ends, which is when the tests have ended, and then ends everything in dir.
func guard(dir string) error {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	return errors.Join(killAll(ctx, dir), local.Down(ctx, local.Options{Dir: dir}, true, io.Discard), os.RemoveAll(dir))
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
