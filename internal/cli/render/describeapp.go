package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// DescribeApplication writes an Application: what is asked for in brief, and what became of it.
func DescribeApplication(w io.Writer, o *unstructured.Unstructured, events []corev1.Event, now time.Time) error {
	var app v1alpha1.Application
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &app); err != nil {
		return fmt.Errorf("reading the application %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	if err := describeMeta(w, o, now); err != nil {
		return err
	}
	if err := section(w, "Spec:", specRows(&app.Spec)); err != nil {
		return err
	}
	if err := section(w, "Status:", statusRows(&app)); err != nil {
		return err
	}
	if err := section(w, "Zones:", zoneRows(app.Status.Zones)); err != nil {
		return err
	}
	if err := section(w, "Problems:", problemRows(app.Status.Problems)); err != nil {
		return err
	}
	return describeEnd(w, app.Status.Conditions, events, now)
}

func specRows(s *v1alpha1.ApplicationSpec) [][]string {
	replicas := int32(1)
	if s.Replicas != nil {
		replicas = *s.Replicas
	}
	rows := [][]string{{"Replicas:", fmt.Sprintf("%d, %s", replicas, s.Placement.Mode)}}
	for _, c := range s.Template.Spec.Containers {
		rows = append(rows, []string{"Container " + c.Name + ":", c.Image})
	}
	for _, p := range s.Ports {
		rows = append(rows, []string{"Port " + p.Name + ":", portText(p)})
	}
	rows = append(rows, placementRows(s.Placement)...)
	var calls []string
	for _, d := range s.DependsOn {
		name := d.Name
		if d.Namespace != "" {
			name = d.Namespace + "/" + d.Name
		}
		if d.Kind == v1alpha1.DependencyExternalService {
			name = "ExternalService " + name
		}
		calls = append(calls, name)
	}
	rows = append(rows, []string{"Depends on:", dash(strings.Join(calls, ", "))})
	if len(s.Resources) > 0 {
		rows = append(rows, []string{"Resources:", resourceNames(s.Resources)})
	}
	if s.Adopt {
		rows = append(rows, []string{"Adopt:", "takes over objects that exist"})
	}
	return rows
}

func placementRows(p v1alpha1.Placement) [][]string {
	var rows [][]string
	for _, part := range []struct {
		name     string
		selector *metav1.LabelSelector
	}{{"Regions:", p.Regions}, {"Zones:", p.Zones}, {"Clusters:", p.Clusters}} {
		if part.selector != nil {
			rows = append(rows, []string{part.name, metav1.FormatLabelSelector(part.selector)})
		}
	}
	if p.Spread != nil {
		rows = append(rows, []string{"Spread:", spreadText(p.Spread)})
	}
	for _, t := range p.Tolerations {
		rows = append(rows, []string{"Tolerates:", strings.TrimSpace(fmt.Sprintf("%s %s %s %s", t.Key, t.Operator, t.Value, t.Effect))})
	}
	return rows
}

func portText(p v1alpha1.Port) string {
	text := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	if p.TargetPort != 0 && p.TargetPort != p.Port {
		text = fmt.Sprintf("%d → %d/%s", p.Port, p.TargetPort, p.Protocol)
	}
	if p.AppProtocol != "" {
		text += " " + p.AppProtocol
	}
	return text
}

func spreadText(s *v1alpha1.Spread) string {
	var parts []string
	if s.MaxZones > 0 {
		parts = append(parts, "at most "+count(s.MaxZones, "zone"))
	}
	if s.MaxClustersPerZone > 0 {
		parts = append(parts, "at most "+count(s.MaxClustersPerZone, "cluster")+" in a zone")
	}
	return dash(strings.Join(parts, ", "))
}

func resourceNames(raws []runtime.RawExtension) string {
	var names []string
	for _, raw := range raws {
		var o unstructured.Unstructured
		if err := o.UnmarshalJSON(raw.Raw); err != nil {
			names = append(names, "(unreadable)")
			continue
		}
		names = append(names, o.GetKind()+" "+o.GetName())
	}
	return strings.Join(names, ", ")
}

func statusRows(app *v1alpha1.Application) [][]string {
	s := app.Status
	if s.ObservedGeneration == 0 {
		return [][]string{{"Global has not looked at it yet."}}
	}
	rows := [][]string{
		{"Revision:", dash(s.Revision)},
		{"Replicas:", fmt.Sprintf("%d ready, %d updated, %d desired", s.Ready, s.Updated, s.Desired)},
		{"Placed in:", count(s.Clusters, "cluster") + " of " + count(s.ZoneCount, "zone")},
	}
	if s.ObservedGeneration != app.Generation {
		rows = append(rows, []string{"Note:", fmt.Sprintf("this speaks of generation %d; the spec is at %d", s.ObservedGeneration, app.Generation)})
	}
	if s.Message != "" {
		rows = append(rows, []string{"Message:", firstLine(s.Message)})
	}
	return rows
}

func zoneRows(zones []v1alpha1.ZoneCounts) [][]string {
	if len(zones) == 0 {
		return nil
	}
	rows := [][]string{{"ZONE", "REGION", "READY", "UPDATED", "CONVERGED", "REVISION"}}
	for _, z := range zones {
		rows = append(rows, []string{
			z.Name, z.Region, fmt.Sprintf("%d/%d", z.Ready, z.Desired), fmt.Sprint(z.Updated),
			fmt.Sprintf("%d/%d", z.ConvergedClusters, z.Clusters), short(z.Revision),
		})
	}
	return rows
}

func problemRows(problems []v1alpha1.Problem) [][]string {
	if len(problems) == 0 {
		return nil
	}
	rows := [][]string{{"WHERE", "OBJECT", "REASON", "MESSAGE"}}
	for _, p := range problems {
		where := p.Cluster
		if where == "" {
			where = p.Zone
		}
		rows = append(rows, []string{dash(where), dash(p.Object), p.Reason, firstLine(p.Message)})
	}
	return rows
}
