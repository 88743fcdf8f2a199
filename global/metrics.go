package global

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/telemetry"
)

// metrics are what Global counts of its own work.
type metrics struct {
	plans    prometheus.Histogram
	planned  prometheus.Counter
	records  prometheus.Counter
	statuses prometheus.Counter
	leading  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: telemetry.Namespace, Subsystem: "global", Name: name, Help: help}
	}
	m := &metrics{
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: telemetry.Namespace, Subsystem: "global",
			Name: "plan_seconds", Help: "Time from taking a helping of events until its records are written.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8)}),
		planned:  prometheus.NewCounter(prometheus.CounterOpts(opts("planned_applications_total", "Decisions about one application."))),
		records:  prometheus.NewCounter(prometheus.CounterOpts(opts("written_records_total", "Records written or removed."))),
		statuses: prometheus.NewCounter(prometheus.CounterOpts(opts("status_writes_total", "Writes of a resource's status."))),
		leading:  prometheus.NewGauge(prometheus.GaugeOpts(opts("leading", "1 while this replica leads."))),
	}
	r.MustRegister(m.plans, m.planned, m.records, m.statuses, m.leading)
	return m
}
