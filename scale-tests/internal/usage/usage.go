// Package usage reads what processes have used of the machine, from /proc. The harnesses of scale-tests import it; it
// works on Linux alone.
package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the kernel's unit of CPU time in /proc, USER_HZ: 1/100 s on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Meter watches a set of processes by the names that it gives them. Their threads are counted, their children are not.
type Meter struct{ pids map[string]int }

// NewMeter is a Meter of no process.
func NewMeter() *Meter { return &Meter{pids: map[string]int{}} }

// Add has a process counted from now on.
func (m *Meter) Add(name string, pid int) { m.pids[name] = pid }

// CPU is the time that each process has used so far, in user and kernel mode.
type CPU map[string]time.Duration

// CPU reads it.
func (m *Meter) CPU() (CPU, error) {
	out := CPU{}
	for name, pid := range m.pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil {
			out[name], err = parseStat(stat)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the CPU time of %s: %w", name, err)
		}
	}
	return out, nil
}

// Since is what was used after an earlier reading.
func (c CPU) Since(before CPU) CPU {
	out := CPU{}
	for name, d := range c {
		out[name] = d - before[name]
	}
	return out
}

// Sum is that of the processes for which of is true.
func (c CPU) Sum(of func(name string) bool) time.Duration {
	var sum time.Duration
	for name, d := range c {
		if of(name) {
			sum += d
		}
	}
	return sum
}

// PeakRSS is the most memory that each process has held so far, in bytes.
func (m *Meter) PeakRSS() (map[string]int64, error) {
	out := map[string]int64{}
	for name, pid := range m.pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			out[name], err = parsePeak(status)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the memory of %s: %w", name, err)
		}
	}
	return out, nil
}

// parseStat reads utime and stime, fields 14 and 15 of /proc/PID/stat (proc(5)). The second field, the program's name in
// parentheses, may hold anything.
func parseStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("%q has too few fields", stat)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// parsePeak reads VmHWM, in kB, from /proc/PID/status.
func parsePeak(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmHWM: the process has ended")
}
