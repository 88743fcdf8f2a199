package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/feed"
)

// FeedCollector shows what the sessions of one kind of link do; link is "parent", "children", or "leader" for a replica's
// session with the leader of its own tier.
func FeedCollector(link string, stats *feed.Stats) prometheus.Collector {
	c := &feedCollector{}
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(Namespace, "feed", name), help, nil, prometheus.Labels{"link": link})
	}
	for _, m := range feedNumbers(stats) {
		c.numbers = append(c.numbers, described[feedNumber]{m, describe(m.name, m.help)})
	}
	for _, m := range feedHistograms(stats) {
		c.histograms = append(c.histograms, described[feedHistogram]{m, describe(m.name, m.help)})
	}
	return c
}

// feedNumber is one number of feed.Stats.
type feedNumber struct {
	name, help string
	kind       prometheus.ValueType
	value      *atomic.Int64
}

func feedNumbers(s *feed.Stats) []feedNumber {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []feedNumber{
		{"sessions", "Live sessions.", gauge, &s.Sessions},
		{"pending_keys", "Keys that wait to be sent.", gauge, &s.Pending},
		{"batches_sent_total", "Batches sent.", counter, &s.BatchesSent},
		{"records_sent_total", "Records sent.", counter, &s.RecordsSent},
		{"removals_sent_total", "Removals sent.", counter, &s.RemovalsSent},
		{"sent_bytes_total", "Content of the records sent.", counter, &s.BytesSent},
		{"batches_received_total", "Batches received and passed on to be applied.", counter, &s.BatchesReceived},
		{"records_received_total", "Records received and passed on to be applied.", counter, &s.RecordsReceived},
		{"removals_received_total", "Removals received and passed on to be applied.", counter, &s.RemovalsReceived},
		{"received_bytes_total", "Content of the records received and passed on to be applied.", counter, &s.BytesReceived},
		{"comparisons_total", "Comparisons of digests that were begun.", counter, &s.Comparisons},
		{"differences_total", "Keys that a new or confirmed session found to differ.", counter, &s.Differences},
		{"mismatches_total", "Keys that differed at ends that should have agreed.", counter, &s.Mismatches},
		{"repairs_total", "Keys among the mismatches that were sent again and settled.", counter, &s.Repairs},
		{"refusals_total", "Refusals to take what a peer sends.", counter, &s.Refusals},
		{"fences_refused_total", "Refusals of a peer whose fence is below one that a later owner showed.", counter, &s.FencesRefused},
		{"refused_total", "Refusals that peers answered with to what is sent from here.", counter, &s.Refused},
		{"held_back_total", "Removals held back until a person confirms them.", counter, &s.HeldBack},
		{"rejections_total", "Records rejected here.", counter, &s.Rejections},
		{"questions_total", "Questions asked.", counter, &s.Questions},
		{"questions_unanswered_total", "Questions that were not answered in time.", counter, &s.Unanswered},
		{"redirects_total", "Sessions, and attempts at one, that ended with a redirect: given to a child, or followed to a parent.", counter, &s.Redirects},
		{"waiting_children", "Children that wait in line to be admitted.", gauge, &s.Waiting},
		{"admitted_total", "Sessions of children that were admitted.", counter, &s.Admitted},
		{"turned_away_total", "Children for whom there was no room in the line.", counter, &s.TurnedAway},
	}
}

// feedHistogram is one histogram of feed.Stats.
type feedHistogram struct {
	name, help string
	read       func() feed.Distribution
}

func feedHistograms(s *feed.Stats) []feedHistogram {
	return []feedHistogram{
		{"batch_records", "Records and removals in each batch sent.", s.BatchRecords.Read},
		{"acknowledgement_seconds", "Time from sending a batch until it had taken effect at the peer.", s.Acknowledgements.Read},
		{"admission_wait_seconds", "Time that children waited in line until they were admitted.", s.Admissions.Read},
	}
}

type described[M any] struct {
	metric M
	desc   *prometheus.Desc
}

type feedCollector struct {
	numbers    []described[feedNumber]
	histograms []described[feedHistogram]
}

// Describe implements prometheus.Collector.
func (c *feedCollector) Describe(out chan<- *prometheus.Desc) {
	for _, n := range c.numbers {
		out <- n.desc
	}
	for _, h := range c.histograms {
		out <- h.desc
	}
}

// Collect implements prometheus.Collector.
func (c *feedCollector) Collect(out chan<- prometheus.Metric) {
	for _, n := range c.numbers {
		out <- prometheus.MustNewConstMetric(n.desc, n.metric.kind, float64(n.metric.value.Load()))
	}
	for _, h := range c.histograms {
		d := h.metric.read()
		out <- prometheus.MustNewConstHistogram(h.desc, d.Count, d.Sum, d.Buckets)
	}
}
