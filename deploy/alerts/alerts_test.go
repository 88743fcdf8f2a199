package alerts_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/deploy/alerts"
)

// rules is a PrometheusRule, as far as Meridian's alerts use it.
type rules struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAlerts holds each alert against the metrics that there are and the runbook that it names.
func TestAlerts(t *testing.T) {
	var all rules
	if err := yaml.UnmarshalStrict(alerts.IPAM(), &all); err != nil {
		t.Fatal(err)
	}
	if all.Kind != "PrometheusRule" || all.APIVersion != "monitoring.coreos.com/v1" || len(all.Spec.Groups) != 1 || all.Metadata["name"] == "" {
		t.Fatalf("got %s %s with %d groups", all.APIVersion, all.Kind, len(all.Spec.Groups))
	}
	metrics := read(t, "docs/metrics.md")
	seen := map[string]bool{}
	for _, r := range all.Spec.Groups[0].Rules {
		t.Run(r.Alert, func(t *testing.T) {
			if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Meridian") {
				t.Errorf("the name %s is there twice, or is none of Meridian's", r.Alert)
			}
			seen[r.Alert] = true
			names := regexp.MustCompile(`meridian_[a-z_]+`).FindAllString(r.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%q measures nothing", r.Expr)
			}
			for _, name := range names {
				if !strings.Contains(metrics, "| `"+name+"` |") {
					t.Errorf("there is no metric %s in docs/metrics.md", name)
				}
			}
			if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") {
				t.Errorf("%q: brackets do not match", r.Expr)
			}
			if _, err := time.ParseDuration(r.For); err != nil {
				t.Errorf("for: %v", err)
			}
			if s := r.Labels["severity"]; s != "warning" && s != "critical" {
				t.Errorf("severity: got %q", s)
			}
			for _, field := range []string{"summary", "description", "runbook"} {
				if r.Annotations[field] == "" {
					t.Errorf("it has no %s", field)
				}
			}
			file, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
			if !hasHeading(read(t, file), anchor) {
				t.Errorf("%s has no heading %q", file, anchor)
			}
		})
	}
	if len(seen) == 0 {
		t.Error("there are no alerts")
	}
}

// hasHeading tells whether a page has a heading of an anchor, as forges make them.
func hasHeading(page, anchor string) bool {
	for line := range strings.Lines(page) {
		heading, ok := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "#"), " ")
		if ok && strings.HasPrefix(line, "#") && strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}
