package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
)

// report is what was measured. Rates are allocations per second, or of the reference transactions.
type report struct {
	Callers int     `json:"callers"`
	Rounds  int     `json:"rounds"`
	Slice   float64 `json:"slice_s"`
	Batch   int     `json:"local_batch"`
	Entries int     `json:"entries"`
	CPUs    int     `json:"cpus"`
	Load    string  `json:"load"` // of the machine, at the end

	// EtcdTxn are bare transactions; Durable is one allocation in each transaction, Batched as many as were waiting, each
	// asked for by a caller of its own; Local is machines in a zone that ask for Batch at once.
	EtcdTxn float64 `json:"etcd_txn_per_s"`
	Durable float64 `json:"durable_per_s"`
	Batched float64 `json:"batched_per_s"`
	Local   float64 `json:"local_per_s"`
	// The ratios are to EtcdTxn.
	DurableRatio float64 `json:"durable_ratio"`
	BatchedRatio float64 `json:"batched_ratio"`
	LocalRatio   float64 `json:"local_ratio"`
	// P99 is of a single durable allocation.
	P99        float64 `json:"p99_ms"`
	P50        float64 `json:"p50_ms"`
	EtcdTxnP99 float64 `json:"etcd_txn_p99_ms"`
	BatchedP99 float64 `json:"batched_p99_ms"`
	LocalP99   float64 `json:"local_p99_ms"` // of Batch at once

	// MillionMB is the memory of a process that has a ledger with Entries, of which MillionHeapMB is the ledger; PeakMB is the
	// most that it was while it read them. Startup is from nothing until it may allocate.
	MillionMB     float64 `json:"million_mb"`
	MillionHeapMB float64 `json:"million_heap_mb"`
	BareMB        float64 `json:"process_mb"` // of the process before
	PeakMB        float64 `json:"million_peak_mb"`
	Startup       float64 `json:"startup_s"`
	StartupCPU    float64 `json:"startup_cpu_s"`
	Fill          float64 `json:"fill_per_s"`
	EtcdMB        float64 `json:"etcd_mb"`

	// Rates are those of each round; CPU is in microseconds for each allocation, of the ledger's process and of etcd.
	Rates map[string][]float64          `json:"rates"`
	CPU   map[string]map[string]float64 `json:"cpu_us"`
}

func newReport(o options, samples map[string]*sample, s size) *report {
	load, _ := os.ReadFile("/proc/loadavg") // says what else happened, and is nothing to fail for
	r := &report{Callers: o.callers, Rounds: o.rounds, Slice: o.slice.Seconds(), Batch: o.batch, Entries: o.entries, CPUs: runtime.NumCPU(),
		Load:  strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " "),
		Rates: map[string][]float64{}, CPU: map[string]map[string]float64{}}
	r.EtcdTxn, r.Durable = whole(samples[bare].rate()), whole(samples[durable].rate())
	r.Batched, r.Local = whole(samples[batched].rate()), whole(samples[local].rate())
	r.DurableRatio, r.BatchedRatio, r.LocalRatio = ratio(samples, durable), ratio(samples, batched), ratio(samples, local)
	r.P50, r.P99 = percentile(samples[durable], 50), percentile(samples[durable], 99)
	r.EtcdTxnP99, r.BatchedP99, r.LocalP99 = percentile(samples[bare], 99), percentile(samples[batched], 99), percentile(samples[local], 99)
	for name, s := range samples {
		for _, rate := range s.rates {
			r.Rates[name] = append(r.Rates[name], whole(rate))
		}
		r.CPU[name] = map[string]float64{}
		for process, spent := range s.cpu {
			r.CPU[name][process] = tenths(float64(spent.Microseconds()) / float64(s.allocations))
		}
	}
	r.MillionMB, r.MillionHeapMB, r.BareMB, r.PeakMB = s.After, s.Heap, s.Before, s.Peak
	r.Startup, r.StartupCPU, r.Fill, r.EtcdMB = s.Seconds, s.CPUSeconds, whole(s.fillPerSecond), s.etcdMB
	return r
}

func whole(v float64) float64  { return float64(int64(v + 0.5)) }
func tenths(v float64) float64 { return float64(int64(v*10+0.5)) / 10 }

// ratio is the median, over the rounds, of the ratio to the bare transactions of the same round.
func ratio(samples map[string]*sample, name string) float64 {
	var ratios []float64
	for round, rate := range samples[name].rates {
		ratios = append(ratios, rate/samples[bare].rates[round])
	}
	slices.Sort(ratios)
	return float64(int64(ratios[len(ratios)/2]*100+0.5)) / 100
}

func percentile(s *sample, p float64) float64 {
	return latency.Milliseconds(latency.Percentile(s.latencies, p))
}

func (r *report) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

func (r *report) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "# go run ./scale-tests/cmd/ipam, %s, %d CPUs, load %s at the end\n", time.Now().UTC().Format(time.DateOnly), r.CPUs, r.Load)
	fmt.Fprintf(w, "# %d callers, %d rounds of %.1f s each; ratios are medians over the rounds\n\n", r.Callers, r.Rounds, r.Slice)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tper second\tratio\taim\tp99 ms\tCPU of each, us\tof etcd, us\n")
	row := func(name, what string, rate, ratio float64, aim string, p99 float64) {
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%s\t%.2f\t%.1f\t%.1f\n", what, rate, ratio, aim, p99, r.CPU[name][self], r.CPU[name][etcdWorker])
	}
	row(bare, "bare transactions", r.EtcdTxn, 1, "", r.EtcdTxnP99)
	row(durable, "durable, one in a transaction", r.Durable, r.DurableRatio, "at least 0.8", r.P99)
	row(batched, "batched", r.Batched, r.BatchedRatio, "at least 3", r.BatchedP99)
	row(local, fmt.Sprintf("local, %d asked for at once", r.Batch), r.Local, r.LocalRatio, "", r.LocalP99)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nby round:\n")
	for _, name := range []string{bare, durable, batched, local} {
		fmt.Fprintf(t, "%s\t%.0f\n", name, r.Rates[name])
	}
	fmt.Fprintf(t, "\n%d allocations\t\n", r.Entries)
	fmt.Fprintf(t, "memory of the process\t%.1f MB (aim: below 200), %.1f MB without a ledger, at most %.1f MB while it starts\n", r.MillionMB, r.BareMB, r.PeakMB)
	fmt.Fprintf(t, "of that the ledger\t%.1f MB\n", r.MillionHeapMB)
	fmt.Fprintf(t, "start\t%.2f s, %.2f s of CPU\n", r.Startup, r.StartupCPU)
	fmt.Fprintf(t, "filled with\t%.0f per second\n", r.Fill)
	fmt.Fprintf(t, "memory of etcd\t%.0f MB\n", r.EtcdMB)
	return t.Flush()
}
