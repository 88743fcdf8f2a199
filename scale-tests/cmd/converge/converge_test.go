package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// TestCompare has the harness measure a small federation, so that it keeps up with what it measures: it waits for exactly
// the objects that it compiles itself.
func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("starts API servers and a federation")
	}
	t.Setenv("TMPDIR", t.TempDir())
	o, err := parseOptions(strings.Fields("-n 3 -singles 2 -clusters 2 -warm 1 -workers 2 -json"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	o.progress = &said
	r, err := compare(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var out bytes.Buffer
	if err := r.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wall_s", "reference_wall_s", "p50_ms", "p99_ms", "single_p50_ms", "single_p99_ms",
		"update_wall_s", "delete_wall_s", "reference_delete_wall_s", "meridian_cpu_s", "members_cpu_s", "reference_members_cpu_s"} {
		if v, _ := got[name].(float64); v <= 0 {
			t.Errorf("%s: got %v, want more than 0", name, got[name])
		}
	}
	peak, _ := got["peak_rss_mb"].(map[string]any)
	for _, process := range []string{"hub", "global", "region", "zone", "agent-1", "agent-2", "member-1", "member-2", "reference-1", "reference-2"} {
		if v, _ := peak[process].(float64); v <= 0 {
			t.Errorf("peak_rss_mb of %s: got %v, want more than 0", process, peak[process])
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the folder of temporary files: %v, %v; want nothing", left, err)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ name, args, err string }{
		{"defaults", "", ""},
		{"no applications", "-n 0", "-n: 0 is less than 1"},
		{"unknown side", "-first both", `-first: "both"`},
		{"unknown step", "-profiled all", `-profiled: there is no step "all"`},
		{"arguments", "500", "unknown arguments"},
	} {
		_, err := parseOptions(strings.Fields(c.args), io.Discard)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.err)
		}
	}
}
