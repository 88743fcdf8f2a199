package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func attributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	// A group of its own keeps the terminal's interrupt from reaching the child
	// before this program stops it in order.
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// isMarked reports whether pid lives and was started for pidFile. A zombie's
// environment reads as empty, so it counts as gone.
func isMarked(pid int, pidFile string) bool {
	abs, err := filepath.Abs(pidFile)
	if err != nil {
		return false
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	mark := []byte(markEnv + "=" + abs)
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, mark) {
			return true
		}
	}
	return false
}
