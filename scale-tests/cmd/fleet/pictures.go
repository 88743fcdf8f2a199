package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/scale-tests/internal/plot"
)

// plot writes the pictures of results.
func (o options) plot(results []result) error {
	dir := o.results
	if dir == "" {
		root, err := localkube.FindRoot("")
		if err != nil {
			return err
		}
		dir = filepath.Join(root, "scale-tests", "results")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of results: %w", err)
	}
	for _, r := range results {
		for name, picture := range r.pictures() {
			if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(picture), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// pictures are those of one scenario, by name.
func (r result) pictures() map[string]string {
	out := map[string]string{}
	if len(r.took) > 0 && what[r.Scenario] != "" {
		out[r.Scenario] = plot.Lines(plot.Axes{LogX: true, X: "ms", Y: "part of all", Title: fmt.Sprintf("%s: %s (%d clusters)",
			r.Scenario, what[r.Scenario], r.Clusters)}, plot.Series{Name: fmt.Sprintf("%d of them", len(r.took)), Points: plot.CDF(milliseconds(r.took))})
	}
	if r.Churn != nil {
		out[r.Scenario+"-rss"] = r.Churn.picture()
	}
	if r.Scope != nil {
		out[r.Scenario+"-sent"] = r.Scope.picture()
	}
	return out
}

func milliseconds(took []time.Duration) []float64 {
	out := make([]float64, len(took))
	for i, d := range took {
		out[i] = max(d.Seconds()*1000, 0.1)
	}
	return out
}

func (c *churnFigures) picture() string {
	var series []plot.Series
	for _, tier := range tiers {
		s := plot.Series{Name: tier}
		for _, m := range c.memory {
			s.Points = append(s.Points, plot.Point{X: m.after.Seconds(), Y: m.tiers[tier]})
		}
		series = append(series, s)
	}
	return plot.Lines(plot.Axes{Title: "memory under churn", X: "s", Y: "RSS, MiB"}, series...)
}

func (s *scopeFigures) picture() string {
	var groups []plot.Group
	for _, c := range s.children() {
		groups = append(groups, plot.Group{Name: c.name, Bars: []float64{float64(c.sums.Needed.Bytes),
			float64(c.sums.Sent.Bytes), float64(c.sums.Everything.Bytes)}})
	}
	return plot.Bars(plot.Axes{Title: "scope: content sent to children", Y: "bytes"}, []string{"needed", "sent", "everything"}, groups)
}
