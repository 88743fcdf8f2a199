package main

import (
	"math"
	"runtime"
	"time"

	"github.com/meridian-federation/meridian/scale-tests/internal/latency"
)

// result is what one scenario came to.
type result struct {
	Scenario string `json:"scenario"`
	sizes
	// The percentiles say, in milliseconds: in fanout, how long a placement took to the last of its clusters; in churn and
	// scope, how long a change took to one cluster; in storm and restart, how long an agent took to be in sync again; in failover, how
	// long a cluster was without an owner that had compared digests.
	percentiles
	cost

	// Load is what it took to bring the applications to their clusters before.
	Load     *loadFigures     `json:"load,omitempty"`
	Fanout   *fanoutFigures   `json:"fanout,omitempty"`
	Restarts []restartFigures `json:"restarts,omitempty"`
	// Settle is the longest of the restarts.
	Settle *float64      `json:"settle_s,omitempty"`
	Churn  *churnFigures `json:"churn,omitempty"`
	*stirFigures
	*rotationFigures
	*failoverFigures
	Scope *scopeFigures `json:"scope,omitempty"`
	// Idle is the CPU time of each tier while nothing happens, in percent of one core.
	Idle *idleFigures `json:"idle,omitempty"`

	// took is what the percentiles are of.
	took []time.Duration
}

// sizes says what was measured, and on what.
type sizes struct {
	Clusters     int `json:"clusters"`
	Zones        int `json:"zones"`
	Regions      int `json:"regions"`
	Applications int `json:"applications"`
	Placed       int `json:"placed"`
	Replicas     int `json:"replicas"`
	CPUs         int `json:"cpus"`
}

func (f *federation) sizes(applications int) sizes {
	return sizes{Clusters: len(f.topo.clusters), Zones: f.o.zones, Regions: f.o.regions, Applications: applications,
		Placed: f.o.placed, Replicas: f.o.replicas, CPUs: runtime.NumCPU()}
}

// percentiles of durations, in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func percentilesOf(took []time.Duration) percentiles {
	at := func(p float64) float64 { return latency.Milliseconds(latency.Percentile(took, p)) }
	return percentiles{P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

// round rounds to hundredths.
func round(v float64) float64 { return math.Round(v*100) / 100 }
