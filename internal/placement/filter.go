// Package placement holds the rules of placing that Global and the zones must agree on: which clusters an application
// fits, and how a number of replicas is divided. Everything in it is pure and deterministic. Global applies the rules to
// choose zones, a zone to choose among its clusters; the package knows neither.
package placement

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

// Filter tells which regions, zones and clusters an application fits.
type Filter struct {
	environment              string
	regions, zones, clusters labels.Selector
	tolerations              []v1alpha1.Toleration
}

// NewFilter reads an application's placement. Errors name the field.
func NewFilter(environment string, p v1alpha1.Placement) (*Filter, error) {
	f := &Filter{environment: environment, tolerations: p.Tolerations}
	for _, s := range []struct {
		field    string
		selector *metav1.LabelSelector
		into     *labels.Selector
	}{
		{"regions", p.Regions, &f.regions}, {"zones", p.Zones, &f.zones}, {"clusters", p.Clusters, &f.clusters},
	} {
		*s.into = labels.Everything()
		if s.selector == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(s.selector)
		if err != nil {
			return nil, fmt.Errorf("spec.placement.%s: %w", s.field, err)
		}
		*s.into = selector
	}
	return f, nil
}

// Region tells whether a region of this name and labels is selected.
func (f *Filter) Region(name string, l map[string]string) bool {
	return f.regions.Matches(named{name, l})
}

// Zone tells whether a zone of this name and labels is selected.
func (f *Filter) Zone(name string, l map[string]string) bool { return f.zones.Matches(named{name, l}) }

// Cluster says why a cluster does not fit, or "" when it does. Where the application is placed already, a NoSchedule
// taint does not send it away.
func (f *Filter) Cluster(c record.Cluster, placed bool) string {
	if !slices.Contains(c.Environments, f.environment) {
		return "does not list environment " + f.environment
	}
	if !f.clusters.Matches(named{c.Name, c.Labels}) {
		return "is not selected by placement.clusters"
	}
	for _, taint := range c.Taints {
		if placed && taint.Effect == string(v1alpha1.TaintNoSchedule) {
			continue
		}
		if !f.tolerates(taint) {
			return fmt.Sprintf("has the taint %s=%s:%s", taint.Key, taint.Value, taint.Effect)
		}
	}
	return ""
}

// tolerates follows Kubernetes' rules for tolerations (core/v1 Toleration).
func (f *Filter) tolerates(taint record.Taint) bool {
	return slices.ContainsFunc(f.tolerations, func(t v1alpha1.Toleration) bool {
		if t.Effect != "" && t.Effect != taint.Effect {
			return false
		}
		if t.Operator == v1alpha1.TolerationExists {
			return t.Key == "" || t.Key == taint.Key
		}
		return t.Key == taint.Key && t.Value == taint.Value
	})
}

// named is a set of labels with the virtual label that holds the object's own name.
type named struct {
	name   string
	labels labels.Set
}

func (n named) Has(label string) bool { return label == v1alpha1.LabelName || n.labels.Has(label) }

func (n named) Get(label string) string {
	if label == v1alpha1.LabelName {
		return n.name
	}
	return n.labels.Get(label)
}

func (n named) Lookup(label string) (string, bool) {
	if label == v1alpha1.LabelName {
		return n.name, true
	}
	return n.labels.Lookup(label)
}
