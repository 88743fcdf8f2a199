package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// tiers are those of a report, in its order.
var tiers = [...]string{tierGlobal, tierRegions, tierZones, tierEtcd, tierHub, tierAgents}

// writeJSON writes one line: the result of a single scenario, or all by their names.
func writeJSON(out io.Writer, results []result, named bool) error {
	var value any = results[0]
	if named {
		byName := map[string]result{}
		for _, r := range results {
			byName[r.Scenario] = r
		}
		value = byName
	}
	line, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding the results: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

// tell writes one scenario as a table.
func (r result) tell(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	r.table(w)
	_ = w.Flush() // as with every other word of progress
}

func (r result) table(w io.Writer) {
	fmt.Fprintf(w, "%s: %d clusters, %d zones, %d regions, %d applications in %d clusters each, %d CPUs\n", r.Scenario, r.Clusters,
		r.Zones, r.Regions, r.Applications, r.Placed, r.CPUs)
	r.percentiles.row(w, what[r.Scenario])
	r.own(w)
	fmt.Fprintf(w, "  sent\t%s over all hops\t%s of content in %d records\t%d writes to clusters\t%d of them repeated\n",
		megabytes(r.Bytes), megabytes(r.ContentBytes), r.Records, r.ObjectWrites, r.RepeatedWrites)
	r.cost.rows(w)
	if r.Idle != nil {
		row(w, "idle, % of a core", r.Idle.Percent)
		fmt.Fprintf(w, "  idle, Meridian's tiers\t%.1f %% of a core\taim below 5\n", r.Idle.Sum)
	}
	fmt.Fprintln(w)
}

// what the percentiles of a scenario are of.
var what = map[string]string{
	"fanout": "placement, until its last cluster", "restart": "agents of the zone, until in sync", "storm": "agents, until in sync",
	"churn": "staleness of a change at a cluster", failoverName: "clusters, until an owner has compared",
	scopeName: "placement, each cluster",
}

// own writes what only this scenario has.
func (r result) own(w io.Writer) {
	if f := r.Fanout; f != nil {
		f.Arrival.row(w, "placement, each cluster")
		f.Update.row(w, "changed image, until its last cluster")
	}
	for _, x := range r.Restarts {
		fmt.Fprintf(w, "  %s restarted\tsettled in %.2f s\t%s over all hops\t%d records\t%d writes to clusters\n", x.Killed, x.Settle,
			megabytes(x.Bytes), x.Records, x.ObjectWrites)
	}
	if s := r.stirFigures; s != nil {
		fmt.Fprintf(w, "  changes\t%d\t%.2f a second\t%d merged\n", s.Changes, s.Rate, s.Merged)
		s.Acknowledged.row(w, "a change's acknowledgement by the hub")
	}
	if c := r.Churn; c != nil {
		fmt.Fprintf(w, "  memory of Meridian's tiers\tsecond minute %.0f MiB, at most %.0f\tlast minute %.0f MiB, at most %.0f\tbounded: %t\n",
			c.SecondMinute, c.SecondMinuteMax, c.LastMinute, c.LastMinuteMax, c.Bounded)
	}
	if f := r.rotationFigures; f != nil {
		fmt.Fprintf(w, "  root replaced\t%t, in %.1f s\t%d renewals, %d of them tried again\t%d sessions lost\n", f.Rotated, f.Rotation, f.Renewals,
			f.RenewalsFailed, f.SessionsLost)
	}
	if f := r.failoverFigures; f != nil {
		fmt.Fprintf(w, "  kills\t%d\tclusters taken over %d\twrong %d, lost %d, repeated %d\n", f.Kills, f.Owned, f.Wrong, f.Lost, f.Repeated)
		f.Staleness.row(w, "staleness meanwhile")
		for _, example := range f.Examples {
			fmt.Fprintf(w, "  %s\n", example)
		}
	}
	if s := r.Scope; s != nil {
		fmt.Fprintf(w, "  calls\t%d links\tthe most called by %d\n", s.Links, s.Dependents)
		for _, c := range s.children() {
			fmt.Fprintf(w, "  %s\tsent %s in %d records\tneeded %s in %d\teverything %s in %d\tsent %.2f of needed\t1/%.0f of everything\n", c.name,
				megabytes(c.sums.Sent.Bytes), c.sums.Sent.Records, megabytes(c.sums.Needed.Bytes), c.sums.Needed.Records,
				megabytes(c.sums.Everything.Bytes), c.sums.Everything.Records, c.sums.SentToNeeded, c.sums.EverythingToSent)
		}
	}
}

type namedSums struct {
	name string
	sums scopeSums
}

// children are the sums of all of a kind, and single clusters: those that were sent the least, the median and the most.
func (s *scopeFigures) children() []namedSums {
	return []namedSums{{"all regions", s.Regions}, {"all zones", s.Zones}, {"all clusters", s.Clusters},
		{"least cluster", s.EachCluster.Least}, {"median cluster", s.EachCluster.Median}, {"most cluster", s.EachCluster.Most}}
}

func (p percentiles) row(w io.Writer, name string) {
	if name != "" {
		fmt.Fprintf(w, "  %s\tp50 %.1f ms\tp90 %.1f ms\tp99 %.1f ms\tmax %.1f ms\n", name, p.P50, p.P90, p.P99, p.Max)
	}
}

func (c cost) rows(w io.Writer) {
	fmt.Fprintf(w, "  \t%s\n", strings.Join(tiers[:], "\t"))
	row(w, fmt.Sprintf("CPU s, over %.0f s", c.Wall), c.CPU)
	row(w, "RSS MiB, at the end", c.RSS)
}

// tell writes what loading took.
func (l *loadFigures) tell(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "loading: all arrived in %.1f s, and known at the hub in %.1f s\n", l.Arrived, l.Settled)
	l.cost.rows(w)
	fmt.Fprintln(w)
	_ = w.Flush()
}

func row(w io.Writer, name string, by map[string]float64) {
	fmt.Fprintf(w, "  %s", name)
	for _, tier := range tiers {
		fmt.Fprintf(w, "\t%.1f", by[tier])
	}
	fmt.Fprintln(w)
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
