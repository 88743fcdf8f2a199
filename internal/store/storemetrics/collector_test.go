package storemetrics

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/mem"
)

func TestCollector(t *testing.T) {
	s := mem.New()
	mirror := store.NewMirror(s, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mirror.Run(ctx) // the context's end
	}()
	defer func() {
		cancel()
		<-done
	}()
	if err := mirror.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	w := store.NewWriter(s, mirror, term)
	put := func(content string) error {
		r := record.New(record.Key{Kind: record.KindService, Name: "ns/app"}, []byte(content))
		_, err := w.Apply(ctx, []store.Write{{Record: r}}, nil)
		return err
	}
	if err := put("12345"); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(New(mirror))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"meridian_store_mirror_records":             1,
		"meridian_store_mirror_loads_total":         1,
		"meridian_store_mirror_connected":           1,
		"meridian_store_mirror_lost_total":          0,
		"meridian_store_commits_total":              1,
		"meridian_store_records_written_total":      1,
		"meridian_store_written_bytes_total":        5,
		"meridian_store_commit_seconds":             1,
		"meridian_store_mirror_wait_seconds":        1,
		"meridian_store_commit_errors_total full":   0,
		"meridian_store_commit_errors_total bounds": 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s: got %v, %t, want %v", name, value, ok, want)
		}
	}
}
