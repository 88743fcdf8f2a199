// Package storemetrics shows Prometheus what a tier's store does: the mirror and the writers above it. The tiers that keep a
// store import it. Package telemetry must not know stores: the cluster agent imports it, and keeps none.
package storemetrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/telemetry"
)

type number struct {
	name, help string
	kind       prometheus.ValueType
	read       func() float64
}

func numbers(mirror *store.Mirror) []number {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	of := func(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }
	s := mirror.Stats()
	return []number{
		{"mirror_connected", "1 while the mirror follows its store and the store answers.", gauge, of(&s.Connected)},
		{"mirror_records", "Records that the mirror holds.", gauge, func() float64 { return float64(mirror.Snapshot().Len()) }},
		{"mirror_revision", "Revision of the store that the mirror has reached.", gauge,
			func() float64 { return float64(mirror.Snapshot().Position().Revision) }},
		{"mirror_lost_total", "Times that the mirror lost its store and began a new watch.", counter, of(&s.Lost)},
		{"mirror_loads_total", "Times that the mirror read the whole store.", counter, of(&s.Loads)},
		{"commits_total", "Commits that happened.", counter, of(&s.Commits)},
		{"records_written_total", "Records written.", counter, of(&s.Written)},
		{"records_removed_total", "Records removed.", counter, of(&s.Removed)},
		{"written_bytes_total", "Content of the records written.", counter, of(&s.WrittenBytes)},
	}
}

type histogram struct {
	name, help string
	durations  *store.Durations
}

func histograms(s *store.Stats) []histogram {
	return []histogram{
		{"commit_seconds", "Time until a commit that happened was answered.", &s.CommitTimes},
		{"mirror_wait_seconds", "Time from the last commit of a call until the mirror showed it.", &s.MirrorTimes},
	}
}

// Collector shows what a tier's mirror holds, and what it and the writers above it do.
type Collector struct {
	mirror *store.Mirror
	descs  map[string]*prometheus.Desc // by name
	failed *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// New makes the collector of one mirror.
func New(mirror *store.Mirror) *Collector {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(telemetry.Namespace, "store", name), help, labels, nil)
	}
	c := &Collector{mirror: mirror, descs: map[string]*prometheus.Desc{},
		failed: describe("commit_errors_total", "Commits that failed, by reason.", "reason")}
	for _, n := range numbers(mirror) {
		c.descs[n.name] = describe(n.name, n.help)
	}
	for _, h := range histograms(mirror.Stats()) {
		c.descs[h.name] = describe(h.name, h.help)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	out <- c.failed
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, n := range numbers(c.mirror) {
		out <- prometheus.MustNewConstMetric(c.descs[n.name], n.kind, n.read())
	}
	for _, h := range histograms(c.mirror.Stats()) {
		count, sum, buckets := h.durations.Read()
		out <- prometheus.MustNewConstHistogram(c.descs[h.name], count, sum, buckets)
	}
	for i, reason := range store.FailureReasons {
		out <- prometheus.MustNewConstMetric(c.failed, prometheus.CounterValue, float64(c.mirror.Stats().Failed(i)), reason)
	}
}
