package placement_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/placement"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestFilterCluster(t *testing.T) {
	match := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	cluster := record.Cluster{Name: "c1", Environments: []string{"prod"}, Labels: map[string]string{"tier": "edge"}}
	tainted := cluster
	tainted.Taints = []record.Taint{{Key: "gpu", Value: "yes", Effect: "NoSchedule"}}
	evicting := cluster
	evicting.Taints = []record.Taint{{Key: "gpu", Value: "yes", Effect: "NoExecute"}}
	tests := map[string]struct {
		environment string
		placement   v1alpha1.Placement
		cluster     record.Cluster
		placed      bool
		want        string
	}{
		"fits":                     {"prod", v1alpha1.Placement{}, cluster, false, ""},
		"other environment":        {"staging", v1alpha1.Placement{}, cluster, false, "does not list environment staging"},
		"by label":                 {"prod", v1alpha1.Placement{Clusters: match("tier", "edge")}, cluster, false, ""},
		"by name":                  {"prod", v1alpha1.Placement{Clusters: match(v1alpha1.LabelName, "c1")}, cluster, false, ""},
		"by another name":          {"prod", v1alpha1.Placement{Clusters: match(v1alpha1.LabelName, "c2")}, cluster, false, "not selected"},
		"tainted":                  {"prod", v1alpha1.Placement{}, tainted, false, "taint gpu=yes:NoSchedule"},
		"tainted, runs there":      {"prod", v1alpha1.Placement{}, tainted, true, ""},
		"evicting, runs there":     {"prod", v1alpha1.Placement{}, evicting, true, "taint gpu=yes:NoExecute"},
		"tolerated by value":       {"prod", v1alpha1.Placement{Tolerations: []v1alpha1.Toleration{{Key: "gpu", Value: "yes"}}}, tainted, false, ""},
		"tolerated, other value":   {"prod", v1alpha1.Placement{Tolerations: []v1alpha1.Toleration{{Key: "gpu", Value: "no"}}}, tainted, false, "taint"},
		"tolerated, other effect":  {"prod", v1alpha1.Placement{Tolerations: []v1alpha1.Toleration{{Key: "gpu", Operator: v1alpha1.TolerationExists, Effect: "NoExecute"}}}, tainted, false, "taint"},
		"everything is tolerated":  {"prod", v1alpha1.Placement{Tolerations: []v1alpha1.Toleration{{Operator: v1alpha1.TolerationExists}}}, evicting, false, ""},
		"exists, whatever a value": {"prod", v1alpha1.Placement{Tolerations: []v1alpha1.Toleration{{Key: "gpu", Operator: v1alpha1.TolerationExists}}}, tainted, false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := placement.NewFilter(tt.environment, tt.placement)
			if err != nil {
				t.Fatal(err)
			}
			got := f.Cluster(tt.cluster, tt.placed)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("Cluster = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFilterNamesTheField(t *testing.T) {
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	_, err := placement.NewFilter("prod", v1alpha1.Placement{Zones: bad})
	if err == nil || !strings.Contains(err.Error(), "spec.placement.zones") {
		t.Errorf("NewFilter = %v, want an error that names spec.placement.zones", err)
	}
}
