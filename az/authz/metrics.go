package authz

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/telemetry"
)

// Metrics count checks.
type Metrics struct {
	checks  *prometheus.CounterVec
	seconds prometheus.Histogram
	// The two decisions, found once.
	allowed, denied prometheus.Counter
}

// NewMetrics makes the metrics and registers them; the registerer may be nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: telemetry.Namespace, Subsystem: "authorization",
			Name: "checks_total", Help: "Requests that proxies asked about, by decision: allowed or denied."}, []string{"decision"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: telemetry.Namespace, Subsystem: "authorization",
			Name: "check_seconds", Help: "Time to decide a request, without the way to the proxy.",
			Buckets: prometheus.ExponentialBuckets(0.000001, 4, 8)}),
	}
	m.allowed, m.denied = m.checks.WithLabelValues("allowed"), m.checks.WithLabelValues("denied")
	if r != nil {
		r.MustRegister(m.checks, m.seconds)
	}
	return m
}

func (m *Metrics) observe(allowed bool, d time.Duration) {
	if allowed {
		m.allowed.Inc()
	} else {
		m.denied.Inc()
	}
	m.seconds.Observe(d.Seconds())
}
