package az

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/store/storemetrics"
	"github.com/meridian-federation/meridian/internal/telemetry"
)

// register adds the zone's metrics.
func (z *Zone) register(r prometheus.Registerer) {
	compile := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: telemetry.Namespace, Subsystem: "zone",
		Name: "compile_seconds", Help: "Time from a change of the records until all that follows from it is compiled.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8)})
	z.shard.compiled = func(d time.Duration) { compile.Observe(d.Seconds()) }
	r.MustRegister(compile, telemetry.FeedCollector("parent", &z.up), telemetry.FeedCollector("children", &z.down),
		telemetry.FeedCollector("leader", &z.side), telemetry.ScopeCollector(z.shard.sizes), storemetrics.New(z.mirror),
		counter("clusters_taken_total", "Clusters that this replica came to own, at first or from another.", &z.stats.owned),
		counter("clusters_released_total", "Clusters that another replica took over.", &z.stats.released),
		counter("claims_outrun_total", "Claims for which another replica was faster.", &z.stats.outrun),
		gauge("clusters_owned", "Clusters that this replica owns.", func() float64 { return float64(len(z.shard.names())) }),
		gauge("replicas", "Replicas of the zone that clusters are dealt to, as this one sees it.", func() float64 {
			here, _ := z.roster.attendance(time.Now())
			return float64(len(here.dealt))
		}),
		gauge("leader", "1 while this replica leads the zone.", func() float64 {
			if z.sums.Load() != nil {
				return 1
			}
			return 0
		}))
}

func counter(name, help string, value *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: telemetry.Namespace, Subsystem: "zone", Name: name,
		Help: help}, func() float64 { return float64(value.Load()) })
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: telemetry.Namespace, Subsystem: "zone", Name: name,
		Help: help}, value)
}
