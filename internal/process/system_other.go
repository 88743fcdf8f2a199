//go:build unix && !linux

package process

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// attributes cannot tie an owned child's life to this program's outside Linux;
// it dies when it is stopped.
func attributes(detached bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: detached, Setpgid: !detached}
}

// isMarked reports whether pid lives and was started for pidFile.
func isMarked(pid int, pidFile string) bool {
	abs, err := filepath.Abs(pidFile)
	if err != nil {
		return false
	}
	out, err := exec.Command("ps", "-Eww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false
	}
	return slices.Contains(strings.Fields(string(out)), markEnv+"="+abs)
}

// isEnding is not known outside Linux.
func isEnding(int) bool { return false }

// isBecoming is not known outside Linux.
func isBecoming(int) bool { return false }
