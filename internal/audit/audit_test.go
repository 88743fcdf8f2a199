package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
)

// The rotating writer keeps one goroutine for as long as the process lives.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

func TestRecord(t *testing.T) {
	tests := []struct {
		name  string
		event audit.Event
		want  audittest.Event
	}{
		{
			name: "all that it may hold",
			event: audit.Event{Action: audit.Enrol, Actor: "10.0.0.7:4242", Subject: "region/west", Result: audit.Refused,
				Reason: "the token has expired", Attrs: []slog.Attr{slog.String("token", "k3x9qa")}},
			want: audittest.Event{Action: audit.Enrol, Actor: "10.0.0.7:4242", Subject: "region/west", Result: audit.Refused,
				Reason: "the token has expired", Detail: map[string]any{"token": "k3x9qa"}},
		},
		{
			name:  "the least",
			event: audit.Event{Action: audit.Confirm, Actor: "anna", Subject: "global", Result: audit.Done},
			want:  audittest.Event{Action: audit.Confirm, Actor: "anna", Subject: "global", Result: audit.Done},
		},
		{
			name: "details that are named like fields, and a line break",
			event: audit.Event{Action: audit.Ask, Actor: "eve\n{\"result\":\"done\"}", Subject: "shop/cart", Result: audit.Refused,
				Attrs: []slog.Attr{slog.String("result", "done"), slog.Int("msg", 7)}},
			want: audittest.Event{Action: audit.Ask, Actor: "eve\n{\"result\":\"done\"}", Subject: "shop/cart", Result: audit.Refused,
				Detail: map[string]any{"result": "done", "msg": 7.0}},
		},
		{
			name: "texts that are too long",
			event: audit.Event{Action: audit.Ask, Actor: strings.Repeat("a", 1023) + "ü", Subject: "s", Result: audit.Refused,
				Reason: strings.Repeat("r", 9999), Attrs: []slog.Attr{slog.String("d", strings.Repeat("d", 1025))}},
			want: audittest.Event{Action: audit.Ask, Actor: strings.Repeat("a", 1023) + "…", Subject: "s", Result: audit.Refused,
				Reason: strings.Repeat("r", 1024) + "…", Detail: map[string]any{"d": strings.Repeat("d", 1024) + "…"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var recorder audittest.Recorder
			recorder.Log().Record(t.Context(), tt.event)
			if got := recorder.Events(tt.event.Action); len(got) != 1 || !reflect.DeepEqual(got[0], tt.want) {
				t.Errorf("events:\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestDiscard(t *testing.T) {
	audit.Discard.Record(t.Context(), audit.Event{Action: audit.Confirm})
	if err := audit.Discard.Close(); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit", "global.log")
	cfg := audit.Config{Place: "global", File: file, MaxSizeMB: 1, MaxBackups: 2, Log: slog.New(slog.DiscardHandler)}
	for _, subject := range []string{"before the restart", "after the restart"} {
		record(t, cfg, audit.Event{Action: audit.Confirm, Actor: "anna", Subject: subject, Result: audit.Done})
	}
	lines := strings.Split(strings.TrimSpace(read(t, file)), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines: got %q, want 2", lines)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &line); err != nil {
		t.Fatal(err)
	}
	if _, timed := line["time"]; !timed || line["place"] != "global" || line["subject"] != "after the restart" || len(line) != 6 {
		t.Errorf("line: got %v, want time, place, action, actor, subject and result", line)
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if got := mode(t, path); got != want {
			t.Errorf("mode of %s: got %o, want %o", path, got, want)
		}
	}
}

func TestFileThatOthersCouldRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	record(t, audit.Config{File: file, MaxSizeMB: 1, MaxBackups: 1, Log: slog.New(slog.DiscardHandler)},
		audit.Event{Action: audit.Confirm, Result: audit.Done})
	if got := mode(t, file); got != 0o600 {
		t.Errorf("mode: got %o, want 600", got)
	}
}

func TestRotation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	log := open(t, audit.Config{File: file, MaxSizeMB: 1, MaxBackups: 8, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	const events, size = 1500, 1000
	for range events {
		log.Record(t.Context(), audit.Event{Action: audit.Confirm, Subject: strings.Repeat("s", size), Result: audit.Done})
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.log"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files: got %q %v, want the one written to and an old one", files, err)
	}
	lines := 0
	for _, f := range files {
		lines += strings.Count(read(t, f), "\n")
		if got := mode(t, f); got != 0o600 {
			t.Errorf("mode of %s: got %o, want 600", f, got)
		}
	}
	if lines != events {
		t.Errorf("lines in all files: got %d, want %d", lines, events)
	}
}

func TestOpenRefusesAFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	_, err := audit.Open(audit.Config{File: dir, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open of a folder: got %v, want an error that names %s", err, dir)
	}
}

func TestProcessLog(t *testing.T) {
	var out bytes.Buffer
	process := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))
	record(t, audit.Config{Place: "zone/a", Log: process}, audit.Event{Action: audit.Confirm, Actor: "anna", Result: audit.Done})
	for _, want := range []string{"level=INFO msg=audit", "place=zone/a", "action=confirm", "actor=anna"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the process' log has no %q: %s", want, out.String())
		}
	}
}

func TestWhatCannotBeWrittenGoesToTheProcessLog(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	registry := prometheus.NewRegistry()
	log := open(t, audit.Config{File: filepath.Join(dir, "audit", "a.log"), MaxSizeMB: 1, MaxBackups: 1,
		Log: slog.New(slog.NewTextHandler(&out, nil)), Registry: registry})
	if err := os.RemoveAll(filepath.Join(dir, "audit")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "audit"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log.Record(t.Context(), audit.Event{Action: audit.Confirm, Actor: "anna", Result: audit.Done})
	for _, want := range []string{"level=ERROR", "msg=audit action=confirm actor=anna"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the process' log has no %q: %s", want, out.String())
		}
	}
	if n := counted(t, registry, "meridian_audit_write_failures_total"); n != 1 {
		t.Errorf("failures: got %v, want 1", n)
	}
}

// A flood of refusals is bounded, counted, and holds back nothing else.
func TestFloodOfRefusals(t *testing.T) {
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	log := open(t, audit.Config{Log: slog.New(slog.NewTextHandler(&out, nil)), Registry: registry})
	const flood = 100_000
	for range flood {
		log.Record(t.Context(), audit.Event{Action: audit.Enrol, Result: audit.Refused})
	}
	written := strings.Count(out.String(), "action=enrol")
	if written < 1000 || written > flood/10 {
		t.Errorf("written of %d refusals: got %d, want some thousands", flood, written)
	}
	if n := counted(t, registry, "meridian_audit_events_total"); n != flood {
		t.Errorf("counted: got %v, want %d", n, flood)
	}
	out.Reset()
	log.Record(t.Context(), audit.Event{Action: audit.Enrol, Result: audit.Done})
	log.Record(t.Context(), audit.Event{Action: audit.Ask, Result: audit.Refused})
	if got := strings.Count(out.String(), "msg=audit"); got != 2 {
		t.Errorf("what is done, and refusals of another action: got %d lines, want 2", got)
	}
}

func record(t *testing.T, cfg audit.Config, e audit.Event) {
	t.Helper()
	cfg.Registry = prometheus.NewRegistry()
	log := open(t, cfg)
	log.Record(t.Context(), e)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg audit.Config) *audit.Log {
	t.Helper()
	log, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// counted sums a counter over its labels.
func counted(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
		return sum
	}
	return 0
}
