package ipam

import (
	"math"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/telemetry"
)

// number is a metric that each pool has a value of.
type number struct {
	name, help string
	read       func(PoolState) float64
}

func numbers(t *Tier) []number {
	return []number{
		{"addresses", "Addresses that the place holds.", func(s PoolState) float64 { all, _, _ := sums(s.Usage); return all }},
		{"addresses_taken", "Those of them that are taken, delegated or in quarantine.",
			func(s PoolState) float64 { _, taken, _ := sums(s.Usage); return taken }},
		{"addresses_quarantined", "Those of them that are in quarantine.", func(s PoolState) float64 { _, _, q := sums(s.Usage); return q }},
		{"addresses_delegated", "Addresses that places below were given.", func(s PoolState) float64 { return s.Delegated }},
		{"addresses_largest_free", "Addresses in the largest prefix that is free.", PoolState.largestFree},
		{"low_water_ratio", "Share of what is held that should be free.", func(s PoolState) float64 { return float64(s.Spec.LowWater) / 100 }},
		{"blocks", "Prefixes that the place holds.", func(s PoolState) float64 { return float64(len(s.Usage.Blocks)) }},
		{"blocks_stranded", "Prefixes that the place should not have any more and of which something is taken.",
			func(s PoolState) float64 { return float64(len(s.Stranded)) }},
		{"prefixes_lost", "Prefixes that the place was given and gives nothing of: the store that held them is lost.",
			func(s PoolState) float64 { return float64(len(s.Lost)) }},
		{"claims_waiting", "Claims that there is no room for.", func(s PoolState) float64 { return float64(s.Waiting) }},
		{"prefixes_short", "Prefixes that places below want and that there is no room for.", func(s PoolState) float64 { return float64(s.Short) }},
		{"exhaustion_seconds", "Time until nothing is free, at the rate of the last hour or so.", func(s PoolState) float64 {
			all, taken, _ := sums(s.Usage)
			return s.rate.exhausted(t.cfg.Now(), all-taken)
		}},
	}
}

// largestFree is how many addresses the largest free prefix has.
func (s PoolState) largestFree() float64 {
	most := 0.0
	for _, b := range s.Usage.Blocks {
		if b.Largest >= 0 {
			most = max(most, math.Ldexp(1, b.Prefix.Addr().BitLen()-b.Largest))
		}
	}
	return most
}

// Collector shows Prometheus how a place's address space stands. It outlives terms: between them there is only whether the
// ledger was found set back.
type Collector struct {
	tier    atomic.Pointer[Tier]
	setBack atomic.Bool
	numbers map[string]*prometheus.Desc // by name
	back    *prometheus.Desc
	found   *prometheus.Desc
	given   *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector makes a collector with no tier.
func NewCollector() *Collector {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(telemetry.Namespace, "ipam", name), help, labels, nil)
	}
	c := &Collector{numbers: map[string]*prometheus.Desc{},
		back:  describe("set_back", "1 while the ledger refuses to work, since its etcd was set back."),
		found: describe("audit_findings", "What the last audit of this process found.", "kind"),
		given: describe("delegations", "Prefixes that places below were given.", "pool"),
	}
	for _, n := range numbers(nil) {
		c.numbers[n.name] = describe(n.name, n.help, "pool")
	}
	return c
}

// Show has the collector show a tier; nil: none, as this process does not lead.
func (c *Collector) Show(t *Tier) { c.tier.Store(t) }

// SetBack says whether the ledger was found set back.
func (c *Collector) SetBack(is bool) { c.setBack.Store(is) }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.numbers {
		out <- d
	}
	out <- c.back
	out <- c.found
	out <- c.given
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	back := 0.0
	if c.setBack.Load() {
		back = 1
	}
	gauge(c.back, back)
	t := c.tier.Load()
	if t == nil {
		return
	}
	pools := t.Pools()
	for _, n := range numbers(t) {
		for _, s := range pools {
			gauge(c.numbers[n.name], n.read(s), s.Name)
		}
	}
	given := map[string]int{}
	for _, d := range t.Delegations() {
		given[d.Pool]++
	}
	for pool, n := range given {
		gauge(c.given, float64(n), pool)
	}
	for kind, n := range *t.found.Load() {
		gauge(c.found, float64(n), kind)
	}
}
