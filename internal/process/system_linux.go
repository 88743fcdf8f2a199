package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// isMarked reports whether pid lives and was started for pidFile. The
// environment of a process that is on its way out reads as empty.
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

// exiting is the kernel's PF_EXITING, among the flags in /proc/PID/stat.
const exiting = 0x4

// isEnding reports whether pid has been told to end and may still hold files and
// ports: the kernel takes a process's memory, and with it the mark, before it
// closes its files, and a zombie may wait for threads that have not got so far.
func isEnding(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// What follows the name, which is in brackets and may hold anything, begins
	// with the third field, the state; the flags are the ninth.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil || flags&exiting == 0 {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && (string(fields[0]) != "Z" || len(threads) > 1)
}
