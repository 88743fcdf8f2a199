package telemetry

import (
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/feed"
)

// TestFeedCollector holds that every number of feed.Stats is shown, once, and that two links can be shown together.
func TestFeedCollector(t *testing.T) {
	var up, down feed.Stats
	down.Pending.Store(7)
	down.Acknowledgements.Observe(2500 * time.Millisecond)
	down.BatchRecords.Observe(3)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(FeedCollector("parent", &up), FeedCollector("children", &down))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(families), reflect.TypeFor[feed.Stats]().NumField(); got != want {
		t.Errorf("metrics: got %d, want the %d of feed.Stats", got, want)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue() +
				m.GetHistogram().GetSampleSum()
		}
	}
	for name, want := range map[string]float64{
		"meridian_feed_pending_keys children":            7,
		"meridian_feed_pending_keys parent":              0,
		"meridian_feed_acknowledgement_seconds children": 2.5,
		"meridian_feed_batch_records children":           3,
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}
