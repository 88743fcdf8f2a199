package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/fleet"
	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
	"github.com/meridian-federation/meridian/scale-tests/internal/usage"
)

// report is the comparison. Walls run from the first write until the last object is seen in the last cluster; latencies
// from the begin of an application's write until its objects are in all clusters. CPU is user and kernel time of
// processes, from the first write until all has settled: the status has come back to the hub, and a second has passed.
type report struct {
	Applications int    `json:"applications"`
	Singles      int    `json:"singles"`
	Clusters     int    `json:"clusters"`
	Workers      int    `json:"workers"`
	First        string `json:"first"` // the side that was measured first
	CPUs         int    `json:"cpus"`

	Wall          float64 `json:"wall_s"`
	ReferenceWall float64 `json:"reference_wall_s"`
	P50           float64 `json:"p50_ms"`
	P99           float64 `json:"p99_ms"`
	ReferenceP50  float64 `json:"reference_p50_ms"`
	ReferenceP99  float64 `json:"reference_p99_ms"`

	SingleP50          float64 `json:"single_p50_ms"`
	SingleP99          float64 `json:"single_p99_ms"`
	ReferenceSingleP50 float64 `json:"reference_single_p50_ms"`
	ReferenceSingleP99 float64 `json:"reference_single_p99_ms"`

	UpdateWall          float64 `json:"update_wall_s"`
	ReferenceUpdateWall float64 `json:"reference_update_wall_s"`
	DeleteWall          float64 `json:"delete_wall_s"`
	ReferenceDeleteWall float64 `json:"reference_delete_wall_s"`

	// The CPU time of the creation: Meridian's is that of all its processes and of the hub's API server, with all etcds.
	MeridianCPU         float64 `json:"meridian_cpu_s"`
	MembersCPU          float64 `json:"members_cpu_s"`
	ReferenceMembersCPU float64 `json:"reference_members_cpu_s"`

	// Way is where the time went, by step: the median time in milliseconds from the begin of an application's write until
	// Global had accepted it, region, zone and the last agent had it, and the last agent had applied it.
	Way map[string][]stop `json:"way_ms"`

	// PeakRSS is in MiB, by process; CPU in seconds, by step and process, the reference's steps with its name in front.
	// Others is what the rest of the machine used meanwhile: the more, the less the walls say.
	PeakRSS map[string]float64            `json:"peak_rss_mb"`
	CPU     map[string]map[string]float64 `json:"cpu_s"`
	Others  map[string]float64            `json:"others_cpu_s"`
}

func newReport(o options, reference, meridian side) *report {
	r := &report{Applications: o.n, Singles: o.singles, Clusters: o.clusters, Workers: o.workers, First: o.first,
		CPUs: runtime.NumCPU(), PeakRSS: map[string]float64{}, CPU: map[string]map[string]float64{}, Others: map[string]float64{}}
	m, ref := meridian.results, reference.results
	r.Wall, r.ReferenceWall = latency.Seconds(m[stepCreate].wall), latency.Seconds(ref[stepCreate].wall)
	r.P50, r.P99 = percentiles(m[stepCreate])
	r.ReferenceP50, r.ReferenceP99 = percentiles(ref[stepCreate])
	r.SingleP50, r.SingleP99 = percentiles(m[stepSingles])
	r.ReferenceSingleP50, r.ReferenceSingleP99 = percentiles(ref[stepSingles])
	r.UpdateWall, r.ReferenceUpdateWall = latency.Seconds(m[stepUpdate].wall), latency.Seconds(ref[stepUpdate].wall)
	r.DeleteWall, r.ReferenceDeleteWall = latency.Seconds(m[stepDelete].wall), latency.Seconds(ref[stepDelete].wall)
	r.MeridianCPU = latency.Seconds(m[stepCreate].cpu.Sum(isMeridian))
	r.MembersCPU = latency.Seconds(m[stepCreate].cpu.Sum(isMember))
	r.ReferenceMembersCPU = latency.Seconds(ref[stepCreate].cpu.Sum(isMember))
	r.Way = meridian.way
	r.add("", meridian)
	r.add(referenceName+"-", reference)
	return r
}

// add takes in the breakdown of a side.
func (r *report) add(prefix string, s side) {
	for name, result := range s.results {
		cpu := map[string]float64{}
		for process, d := range result.cpu {
			cpu[process] = latency.Seconds(d)
		}
		r.CPU[prefix+name] = cpu
		r.Others[prefix+name] = latency.Seconds(result.others)
	}
	for process, bytes := range s.peak {
		if process != harness {
			r.PeakRSS[process] = float64(bytes>>10) / 1024
		}
	}
}

func percentiles(r result) (p50, p99 float64) {
	return latency.Milliseconds(latency.Percentile(r.latencies, 50)), latency.Milliseconds(latency.Percentile(r.latencies, 99))
}

// isMember tells the API servers that applications come to from everything else.
func isMember(process string) bool {
	return strings.HasPrefix(process, fleet.Member+"-") || strings.HasPrefix(process, referenceName+"-")
}

// isMeridian tells Meridian's own processes, the hub's API server among them.
func isMeridian(process string) bool { return !isMember(process) && process != harness }

func (r *report) writeJSON(out io.Writer) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

func (r *report) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d applications, %d clusters, %d workers, %d CPUs, %s measured first\n\n", r.Applications, r.Clusters, r.Workers, r.CPUs, r.First)
	fmt.Fprintf(w, "\tMeridian\treference\tratio\taim\n")
	row := func(name, unit string, m, ref float64, aim string) {
		ratio := "-"
		if ref > 0 {
			ratio = fmt.Sprintf("%.2f", m/ref)
		}
		fmt.Fprintf(w, "%s\t%.2f %s\t%.2f %s\t%s\t%s\n", name, m, unit, ref, unit, ratio, aim)
	}
	row("create, wall", "s", r.Wall, r.ReferenceWall, "ratio at most 1.5")
	row("  of each, p50", "ms", r.P50, r.ReferenceP50, "")
	row("  of each, p99", "ms", r.P99, r.ReferenceP99, "")
	row("single on an idle hub, p50", "ms", r.SingleP50, r.ReferenceSingleP50, "at most 60 ms")
	row("single on an idle hub, p99", "ms", r.SingleP99, r.ReferenceSingleP99, "at most 150 ms")
	row("update, wall", "s", r.UpdateWall, r.ReferenceUpdateWall, "")
	row("delete, wall", "s", r.DeleteWall, r.ReferenceDeleteWall, fmt.Sprintf("at most the creation's %.2f s", r.Wall))
	row("CPU of the clusters' API servers", "s", r.MembersCPU, r.ReferenceMembersCPU, "")
	fmt.Fprintf(w, "CPU of Meridian and its hub\t%.2f s\t\t%.2f\tof its clusters' API servers below 1\n", r.MeridianCPU, r.MeridianCPU/max(r.MembersCPU, 0.01))
	for _, step := range []string{stepCreate, stepSingles, stepUpdate} {
		fmt.Fprintf(w, "%s, median way:\t%s\n", step, wayLine(r.Way[step]))
	}
	fmt.Fprintf(w, "\nprocess\tCPU create\tsingles\tupdate\tdelete\tpeak memory\n")
	for _, process := range slices.Sorted(maps.Keys(r.PeakRSS)) {
		steps := r.CPU
		if strings.HasPrefix(process, referenceName+"-") {
			steps = map[string]map[string]float64{}
			for _, name := range []string{stepCreate, stepSingles, stepUpdate, stepDelete} {
				steps[name] = r.CPU[referenceName+"-"+name]
			}
		}
		fmt.Fprintf(w, "%s\t%.2f s\t%.2f s\t%.2f s\t%.2f s\t%.0f MiB\n", process, steps[stepCreate][process], steps[stepSingles][process],
			steps[stepUpdate][process], steps[stepDelete][process], r.PeakRSS[process])
	}
	fmt.Fprintf(w, "\nothers on the machine\t%.2f s\t%.2f s\t%.2f s\t%.2f s\n", r.Others[stepCreate], r.Others[stepSingles], r.Others[stepUpdate], r.Others[stepDelete])
	return w.Flush()
}

// cpuLine lists what processes used, the most first.
func cpuLine(cpu usage.CPU) string {
	names := slices.SortedFunc(maps.Keys(cpu), func(a, b string) int { return int(cpu[b] - cpu[a]) })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, cpu[name].Truncate(time.Millisecond).Seconds()))
	}
	return strings.Join(parts, ", ")
}
