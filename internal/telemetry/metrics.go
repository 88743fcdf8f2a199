package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/meridian-federation/meridian/internal/buildinfo"
)

// Namespace begins the name of every metric of Meridian's own.
const Namespace = "meridian"

// NewRegistry has the Go runtime's and the process's metrics, and meridian_build_info.
func NewRegistry(binary string) *prometheus.Registry {
	build := buildinfo.Read()
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: Namespace,
		Name:      "build_info",
		Help:      "Always 1; the labels tell which build this is.",
		ConstLabels: prometheus.Labels{
			"binary": binary, "version": build.Version, "commit": build.Commit, "goversion": build.Go,
		},
	}, func() float64 { return 1 })
	registry := prometheus.NewRegistry()
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
