// Package usage reads what processes have used of the machine, from /proc. The harnesses of scale-tests import it; it
// works on Linux alone.
package usage

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"strconv"
	"sync"
	"time"
)

// tick is the kernel's unit of CPU time in /proc, USER_HZ: 1/100 s on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Meter watches a set of processes by the names that it gives them. Their threads are counted, their children are not. Its
// methods may be called from any goroutine.
type Meter struct {
	mu   sync.Mutex
	pids map[string]int // guarded by mu, as is past
	// past is the CPU time of the retired processes of a name.
	past CPU
}

// NewMeter is a Meter of no process.
func NewMeter() *Meter { return &Meter{pids: map[string]int{}, past: CPU{}} }

// Add has a process counted from now on.
func (m *Meter) Add(name string, pid int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pids[name] = pid
}

// Retire reads a process for the last time, before it is ended. What it has used stays in the name's sum.
func (m *Meter) Retire(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	spent, err := m.cpu(name)
	if err != nil {
		return err
	}
	m.past[name] = spent
	delete(m.pids, name)
	return nil
}

// CPU is the time that each process has used so far, in user and kernel mode.
type CPU map[string]time.Duration

// CPU reads it.
func (m *Meter) CPU() (CPU, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := maps.Clone(m.past)
	for name := range m.pids {
		var err error
		if out[name], err = m.cpu(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// cpu reads one name, its retired processes included.
func (m *Meter) cpu(name string) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pids[name]))
	if err == nil {
		var d time.Duration
		if d, err = parseStat(stat); err == nil {
			return m.past[name] + d, nil
		}
	}
	return 0, fmt.Errorf("reading the CPU time of %s: %w", name, err)
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
func (m *Meter) PeakRSS() (map[string]int64, error) { return m.memory("VmHWM") }

// RSS is the memory that each process holds now, in bytes.
func (m *Meter) RSS() (map[string]int64, error) { return m.memory("VmRSS") }

func (m *Meter) memory(field string) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int64{}
	for name, pid := range m.pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			out[name], err = parseMemory(status, field)
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

// parseMemory reads a field, in kB, from /proc/PID/status.
func parseMemory(status []byte, field string) (int64, error) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte(field+":")); ok {
			kb, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s: the process has ended", field)
}
