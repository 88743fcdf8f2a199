package usage

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Machine is the CPU time that everything on the machine has used since it booted, over all CPUs, what a hypervisor took
// away included.
func Machine() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err == nil {
		var d time.Duration
		if d, err = parseMachine(string(stat)); err == nil {
			return d, nil
		}
	}
	return 0, fmt.Errorf("reading the machine's CPU time: %w", err)
}

// parseMachine sums user, nice, system, irq, softirq and steal of the first line of /proc/stat (proc(5)).
func parseMachine(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("%q is not the sum of all CPUs", line)
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
