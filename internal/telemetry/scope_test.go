package telemetry

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestScopeCollector(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(ScopeCollector(slices.Values([]int{3, 5})))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
	}
	for name, want := range map[string]float64{"meridian_scope_children": 2, "meridian_scope_records": 8, "meridian_scope_largest_records": 5} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}
