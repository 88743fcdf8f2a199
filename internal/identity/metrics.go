package identity

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// renewals counts.
type renewals struct{ done, failed atomic.Uint64 }

func desc(name, help, label string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("meridian", "certificate", name), help, []string{label}, nil)
}

var (
	expiryDesc   = desc("expiry_timestamp_seconds", "When the certificate ends that the process shows, and the one that it signs by.", "use")
	renewalsDesc = desc("renewals_total", "Renewals of the process's certificates.", "result")
)

// Collector tells when the certificates end, and how their renewals went.
func (i *Identity) Collector() prometheus.Collector { return collector{i} }

type collector struct{ id *Identity }

func (c collector) Describe(out chan<- *prometheus.Desc) { out <- expiryDesc; out <- renewalsDesc }

func (c collector) Collect(out chan<- prometheus.Metric) {
	status := c.id.Source.Status()
	expiry := func(use string, unix int64) {
		out <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(unix), use)
	}
	if !status.NotAfter.IsZero() {
		expiry("shown", status.NotAfter.Unix())
	}
	if !status.AuthorityNotAfter.IsZero() {
		expiry("signing", status.AuthorityNotAfter.Unix())
	}
	for result, n := range map[string]uint64{"done": c.id.renewals.done.Load(), "failed": c.id.renewals.failed.Load()} {
		out <- prometheus.MustNewConstMetric(renewalsDesc, prometheus.CounterValue, float64(n), result)
	}
}
