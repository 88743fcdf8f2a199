package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/feed"
)

// FeedCollector shows what the sessions of one kind of link do; link is "parent" or "children".
func FeedCollector(link string, stats *feed.Stats) prometheus.Collector {
	c := &feedCollector{}
	for _, m := range feedMetrics(stats) {
		desc := prometheus.NewDesc(prometheus.BuildFQName(Namespace, "feed", m.name), m.help, nil, prometheus.Labels{"link": link})
		c.metrics = append(c.metrics, describedMetric{m, desc})
	}
	return c
}

// feedMetric is one number of feed.Stats.
type feedMetric struct {
	name, help string
	kind       prometheus.ValueType
	value      *atomic.Int64
	// scale turns the number into the unit of the metric.
	scale float64
}

func feedMetrics(s *feed.Stats) []feedMetric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []feedMetric{
		{"sessions", "Live sessions.", gauge, &s.Sessions, 1},
		{"pending_keys", "Keys that wait to be sent.", gauge, &s.Pending, 1},
		{"batches_sent_total", "Batches sent.", counter, &s.BatchesSent, 1},
		{"records_sent_total", "Records sent.", counter, &s.RecordsSent, 1},
		{"removals_sent_total", "Removals sent.", counter, &s.RemovalsSent, 1},
		{"sent_bytes_total", "Content of the records sent.", counter, &s.BytesSent, 1},
		{"batches_acknowledged_total", "Batches that had taken effect at the peer.", counter, &s.AckedBatches, 1},
		{"acknowledgement_seconds_total", "Time from sending a batch until it had taken effect at the peer, over all batches acknowledged.", counter, &s.AckNanos, 1e-9},
		{"batches_received_total", "Batches received and passed on to be applied.", counter, &s.BatchesReceived, 1},
		{"records_received_total", "Records received and passed on to be applied.", counter, &s.RecordsReceived, 1},
		{"removals_received_total", "Removals received and passed on to be applied.", counter, &s.RemovalsReceived, 1},
		{"comparisons_total", "Comparisons of digests that were begun.", counter, &s.Comparisons, 1},
		{"differences_total", "Keys that a new or confirmed session found to differ.", counter, &s.Differences, 1},
		{"mismatches_total", "Keys that differed at ends that should have agreed, and were repaired.", counter, &s.Mismatches, 1},
		{"refusals_total", "Refusals to take what a peer sends.", counter, &s.Refusals, 1},
		{"held_back_total", "Removals held back until a person confirms them.", counter, &s.HeldBack, 1},
		{"rejections_total", "Records rejected here.", counter, &s.Rejections, 1},
		{"questions_total", "Questions asked.", counter, &s.Questions, 1},
		{"questions_unanswered_total", "Questions that were not answered in time.", counter, &s.Unanswered, 1},
	}
}

type describedMetric struct {
	feedMetric
	desc *prometheus.Desc
}

type feedCollector struct{ metrics []describedMetric }

// Describe implements prometheus.Collector.
func (c *feedCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *feedCollector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value.Load())*m.scale)
	}
}
