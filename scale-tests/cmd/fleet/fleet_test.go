package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/run"
)

// TestMain lets the workers of the tests be processes of the tests' program.
func TestMain(m *testing.M) {
	if file := os.Getenv(workerEnv); file != "" {
		run.Main("fleet-worker", func(ctx context.Context, _ []string) error { return work(ctx, file) })
	}
	goleak.VerifyTestMain(m)
}

// TestAllScenarios measures small federations in every way. In failover clusters refuse some writes, too.
func TestAllScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server and three federations")
	}
	t.Setenv("TMPDIR", t.TempDir())
	var said, tables bytes.Buffer
	small := "-clusters 8 -zones 4 -regions 2 -placed 4 -applications 10 -repeats 3 -kills 2 -rate 20 -pause 0s -duration 2s -idle 600ms" +
		" -scope-applications 12 -scope-placed 2 -results " + t.TempDir()
	measure := func(args string) (options, []result) {
		o, err := parseOptions(strings.Fields(small+args), &said)
		if err != nil {
			t.Fatal(err)
		}
		o.tables = &tables
		results, err := measureAll(t.Context(), o)
		if err != nil {
			t.Fatalf("%v\n%s", err, said.String())
		}
		return o, results
	}
	_, all := measure(" -scenario fanout,restart,storm,churn,scope")
	o, failover := measure(" -scenario failover -failures 0.05")
	all = slices.Insert(all, len(all)-1, failover...)
	var measured []string
	for _, r := range all {
		measured = append(measured, r.Scenario)
		t.Run(r.Scenario, func(t *testing.T) { checkResult(t, r) })
	}
	if !slices.Equal(measured, names()) {
		t.Errorf("measured: got %q, want %q", measured, names())
	}
	for _, name := range names() {
		if !strings.Contains(tables.String(), name+": ") {
			t.Errorf("the tables lack %s:\n%s", name, tables.String())
		}
	}
	checkPictures(t, o, all)
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the folder of temporary files: %v, %v; want nothing", left, err)
	}
}

// TestRotation replaces the root, and with it all certificates, of a small federation whose applications change.
func TestRotation(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server and a federation")
	}
	t.Setenv("TMPDIR", t.TempDir())
	var said bytes.Buffer
	o, err := parseOptions(strings.Fields("-scenario churn -rotate -clusters 4 -zones 2 -regions 1 -placed 2 -applications 4 -rate 10 -duration 3s"), &said)
	if err != nil {
		t.Fatal(err)
	}
	results, err := measureAll(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	checkResult(t, results[0])
	r := results[0].rotationFigures
	// All but Global have theirs renewed by somebody else; the root's own process signs what it needs.
	if least := o.regions + o.zones + o.clusters; !r.Rotated || r.Rotation <= 0 || r.Renewals < least || r.SessionsLost != 0 {
		t.Errorf("got %+v, want the root rotated, %d renewals or more, and no session lost", r, least)
	}
}

// checkResult holds a result, as JSON, to what every result has and to what its scenario promises.
func checkResult(t *testing.T, r result) {
	var out bytes.Buffer
	if err := writeJSON(&out, []result{r}, false); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	positive := []string{"bytes", "content_bytes", "records", "p50_ms", "p90_ms", "p99_ms", "max_ms"}
	var zero []string
	switch r.Scenario {
	case "restart":
		positive, zero = append(positive, "settle_s"), []string{"object_writes"}
	case "storm":
		zero = []string{"object_writes"}
	case "churn":
		positive = append(positive, "object_writes", "changes", "rate_per_s")
	case failoverName:
		positive, zero = append(positive, "object_writes", "clusters_taken_over", "changes", "rate_per_s"), []string{"wrong_writes", "lost_writes", "repeated_writes_in_zone"}
	default:
		positive = append(positive, "object_writes")
	}
	for _, name := range positive {
		if v, _ := got[name].(float64); v <= 0 {
			t.Errorf("%s: got %v, want more than 0", name, got[name])
		}
	}
	for _, name := range append(zero, "repeated_writes") {
		if v, ok := got[name].(float64); !ok || v != 0 {
			t.Errorf("%s: got %v, want 0; %v", name, got[name], got["examples"])
		}
	}
	for _, tier := range tiers {
		for _, name := range []string{"cpu_s", "rss_mb"} {
			by, _ := got[name].(map[string]any)
			if v, ok := by[tier].(float64); !ok || name == "rss_mb" && v <= 0 {
				t.Errorf("%s of %s: got %v", name, tier, by[tier])
			}
		}
	}
	if s := r.Scope; s != nil {
		for _, c := range s.children() {
			if c.sums.Needed.Records == 0 || c.sums.Sent.Records < c.sums.Needed.Records || c.sums.Everything.Records < c.sums.Needed.Records {
				t.Errorf("%s: got %+v, want no less than needed, and no more needed than there is", c.name, c.sums)
			}
		}
		if each := s.EachCluster; each.Least.Sent.Bytes < each.Least.Needed.Bytes || each.Most.Sent.Bytes < each.Least.Sent.Bytes {
			t.Errorf("got %+v, want each sent at least what it needs", each)
		}
	}
}

// checkPictures draws all results.
func checkPictures(t *testing.T, o options, all []result) {
	if err := o.plot(all); err != nil {
		t.Fatal(err)
	}
	pictures, err := filepath.Glob(filepath.Join(o.results, "*.svg"))
	if err != nil || len(pictures) != len(all)+2 { // churn and scope have two
		t.Errorf("got the pictures %q, %v; want %d", pictures, err, len(all)+2)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ name, args, err string }{
		{"defaults", "", ""},
		{"one scenario", "-scenario churn", ""},
		{"two scenarios", "-scenario churn,scope", ""},
		{"no scenario", "-scenario rain", `-scenario: "rain"`},
		{"more zones than clusters", "-clusters 5 -zones 6 -regions 1 -placed 2 -scope-placed 2", "-clusters: 5 is less than 6"},
		{"more placed than there are", "-placed 2000", "-placed: 2000 is not from 1 to the 1000 clusters"},
		{"more placed by scope than there are", "-scope-placed 2000", "-scope-placed: 2000"},
		{"as many placed by scope, which is not asked for", "-scenario churn -scope-placed 2000 -scope-applications 0", ""},
		{"as many placed, and scope alone asked for", "-scenario scope -placed 2000", ""},
		{"one application of scope", "-scope-applications 1", "-scope-applications: 1 is less than 2"},
		{"failover with one replica", "-scenario failover -replicas 1", "-replicas"},
		{"restart with one replica", "-scenario restart -replicas 1", ""},
		{"a rotation in churn", "-scenario churn -rotate", ""},
		{"a rotation in others, too", "-scenario churn,storm -rotate", "-rotate: is for -scenario churn alone"},
		{"no rate", "-rate 0", "-rate is above 0"},
		{"no duration", "-duration 0s", "-duration, -idle and -timeout"},
		{"nothing idle", "-idle 0s", "-duration, -idle and -timeout"},
		{"no time", "-timeout 0s", "-duration, -idle and -timeout"},
		{"arguments", "churn", "unknown arguments"},
	} {
		_, err := parseOptions(strings.Fields(c.args), io.Discard)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.err)
		}
	}
}
