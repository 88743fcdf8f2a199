//go:build linux

package zonefaults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meridian-federation/meridian/internal/localkube"
)

const (
	// insideEnv says that this process is in namespaces of its own.
	insideEnv = "MERIDIAN_ZONEFAULTS_INSIDE"
	// netnsEnv names the network namespace in which the program in the arguments is to be run.
	netnsEnv = "MERIDIAN_ZONEFAULTS_NETNS"
	// keepEnv names an empty folder for logs and data, which then stay there.
	keepEnv = "MERIDIAN_ZONEFAULTS_DIR"
)

func TestMain(m *testing.M) {
	if netns, ok := os.LookupEnv(netnsEnv); ok {
		fmt.Fprintln(os.Stderr, "entering a namespace:", enter(netns, os.Args[1:]))
		os.Exit(1)
	}
	flag.Parse()
	if _, inside := os.LookupEnv(insideEnv); inside || testing.Short() {
		os.Exit(m.Run())
	}
	os.Exit(outside())
}

// enter becomes another program in a network namespace. It returns only if that fails.
func enter(netns string, command []string) error {
	runtime.LockOSThread() // the thread that enters is the one that goes on as the program
	f, err := os.Open(netns)
	if err != nil {
		return err
	}
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, netnsEnv+"=") || strings.HasPrefix(v, insideEnv+"=")
	})
	return syscall.Exec(command[0], command, env)
}

// outside builds the programs, for which the network is needed, and runs the tests in namespaces of their own.
func outside() int {
	if err := build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	runtime.LockOSThread() // the death of the thread that forks is what ends the child
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	}
	fmt.Fprintf(os.Stderr, "making network namespaces: %v\nThe test needs them: run it as root, or let users make them (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns).\n", err)
	return 1
}

// binaries is where the programs of the checkout are built.
func binaries() (root, bin string, err error) {
	root, err = localkube.FindRoot("")
	return root, filepath.Join(root, "bin"), err
}

func build(ctx context.Context) error {
	root, bin, err := binaries()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+string(os.PathSeparator), "./cmd/...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building Meridian: %w\n%s", err, out)
	}
	return localkube.Build(ctx, root, bin, func(s string) { fmt.Fprintln(os.Stderr, s) })
}
