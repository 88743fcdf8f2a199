// Package rollup sums what children report of applications, tier by tier: a zone sums its clusters, a region its zones,
// Global its regions. A Table holds each child's latest word, in memory; children rebuild it when they connect again,
// and a child that is out of reach keeps the last that it said. A change costs in proportion to the children that run
// the application. The package is pure; the tiers import it.
package rollup

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// Sum adds up counts. Only what should run somewhere counts: parts with no clusters are places being left. The revision
// is the one that all parts have, or empty. AppliedAt is the latest, once all clusters have converged, and ReadyAt once
// all that is desired is ready as well.
func Sum(parts iter.Seq[record.Counts]) record.Counts {
	var out record.Counts
	first := true
	for c := range parts {
		if c.Clusters == 0 {
			continue
		}
		if first {
			out.Revision, first = c.Revision, false
		} else if out.Revision != c.Revision {
			out.Revision = ""
		}
		out.Desired += c.Desired
		out.Updated += c.Updated
		out.Ready += c.Ready
		out.Clusters += c.Clusters
		out.Converged += c.Converged
		out.AppliedAt = latest(out.AppliedAt, c.AppliedAt)
		out.ReadyAt = latest(out.ReadyAt, c.ReadyAt)
	}
	if out.Converged < out.Clusters {
		out.AppliedAt = time.Time{}
	}
	if !Ready(out) {
		out.ReadyAt = time.Time{}
	}
	return out
}

// Ready tells whether all that should run does: applied everywhere, every replica of the revision, and ready.
func Ready(c record.Counts) bool {
	return c.Clusters > 0 && c.Converged >= c.Clusters && c.Updated >= c.Desired && c.Ready >= c.Desired
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Problems puts problems in one order, drops those said twice, and keeps the first few.
func Problems(all []record.Problem) []record.Problem {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b record.Problem) int {
		return cmp.Or(strings.Compare(a.Zone, b.Zone), strings.Compare(a.Cluster, b.Cluster),
			strings.Compare(a.Object, b.Object), strings.Compare(a.Reason, b.Reason), strings.Compare(a.Message, b.Message))
	})
	all = slices.Compact(all)
	return all[:min(len(all), record.MaxProblems)]
}
