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
// environment of a process that is on its way out, or that is just becoming
// another program, reads as empty.
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

// The kernel's PF_EXITING and PF_KTHREAD, among the flags in /proc/PID/stat.
const (
	exiting      = 0x4
	kernelThread = 0x200000
)

// isEnding reports whether pid has been told to end and may still hold files and
// ports: the kernel takes a process's memory, and with it the mark, before it
// closes its files, and a zombie may wait for threads that have not got so far.
func isEnding(pid int) bool {
	state, flags, err := stat(pid)
	if err != nil || flags&exiting == 0 {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && (state != "Z" || len(threads) > 1)
}

// isBecoming reports whether pid may be in the middle of an exec.
func isBecoming(pid int) bool {
	_, flags, err := stat(pid)
	if err != nil || flags&(exiting|kernelThread) != 0 {
		return false
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && len(env) == 0
}

// stat reads a process's state and the kernel's flags of it.
func stat(pid int) (state string, flags uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	// What follows the name, which is in brackets and may hold anything, begins
	// with the third field, the state; the flags are the ninth.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 7 {
		return "", 0, fmt.Errorf("/proc/%d/stat has %d fields behind the name, want at least 7", pid, len(fields))
	}
	flags, err = strconv.ParseUint(string(fields[6]), 10, 64)
	return string(fields[0]), flags, err
}
