package telemetry

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"
)

// ScopeCollector shows the sizes of children's scopes: numbers of records, one for each child, asked for at each scrape.
func ScopeCollector(sizes iter.Seq[int]) prometheus.Collector {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(Namespace, "scope", name), help, nil, nil)
	}
	return &scopeCollector{sizes: sizes,
		children: describe("children", "Children that this process keeps a scope for."),
		records:  describe("records", "Records in scope for all children together."),
		largest:  describe("largest_records", "Records in scope for the child that needs the most."),
	}
}

type scopeCollector struct {
	sizes                      iter.Seq[int]
	children, records, largest *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *scopeCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.children
	out <- c.records
	out <- c.largest
}

// Collect implements prometheus.Collector.
func (c *scopeCollector) Collect(out chan<- prometheus.Metric) {
	var children, records, largest int
	for n := range c.sizes {
		children++
		records += n
		largest = max(largest, n)
	}
	gauge := func(desc *prometheus.Desc, n int) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n))
	}
	gauge(c.children, children)
	gauge(c.records, records)
	gauge(c.largest, largest)
}
