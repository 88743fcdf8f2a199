package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// report is what was measured. Times are the compiler's alone: records are written and read beforehand.
type report struct {
	Apps    int `json:"apps"`
	Records int `json:"records"`
	// FullSeconds is compiling all that the cluster should hold; PeakMB the most memory that the process had, with the
	// generated records and the store.
	// FullCPU is the CPU time of that, garbage collection included: where the machine has other things to do, it is what to
	// compare.
	FullSeconds float64 `json:"full_s"`
	FullCPU     float64 `json:"full_cpu_s"`
	PeakMB      float64 `json:"peak_mb"`
	// P50 and P99 are of all changes.
	P50     float64      `json:"change_p50_ms"`
	P99     float64      `json:"change_p99_ms"`
	Kinds   []kindReport `json:"changes"`
	Objects int          `json:"objects"`
	// ExtraHosts and MissingHosts are those of the Sidecars, after the changes, against the call graph.
	ExtraHosts   int  `json:"extra_hosts"`
	MissingHosts int  `json:"missing_hosts"`
	Complete     bool `json:"complete"`
}

// kindReport is of the changes of one kind, with the objects that they changed.
type kindReport struct {
	Kind    string  `json:"kind"`
	Changes int     `json:"changes"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Edits   int     `json:"edits"`
}

func (r *report) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

func (r *report) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%d applications, %d records\n\n", r.Apps, r.Records)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "full compilation\t%.2f s, %.2f s of CPU\nobjects\t%d\npeak memory of the process\t%.0f MB\n", r.FullSeconds, r.FullCPU, r.Objects, r.PeakMB)
	fmt.Fprintf(t, "hosts of the Sidecars too many\t%d\nhosts of the Sidecars too few\t%d\n\n", r.ExtraHosts, r.MissingHosts)
	fmt.Fprintf(t, "one change\tp50 ms\tp99 ms\tchanges\tobjects changed\n")
	for _, k := range r.Kinds {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%d\t%d\n", k.Kind, k.P50, k.P99, k.Changes, k.Edits)
	}
	fmt.Fprintf(t, "all\t%.2f\t%.2f\n", r.P50, r.P99)
	return t.Flush()
}
