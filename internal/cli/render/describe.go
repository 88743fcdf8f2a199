package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Describe writes one object of any kind: its metadata, spec and status, conditions as a table, and what happened to it.
func Describe(w io.Writer, o *unstructured.Unstructured, events []corev1.Event, now time.Time) error {
	if err := describeMeta(w, o, now); err != nil {
		return err
	}
	content := o.DeepCopy().Object
	for _, known := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(content, known)
	}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if err := describeYAML(w, capital(name), content[name]); err != nil {
			return err
		}
	}
	conditions, rest, err := splitStatus(o)
	if err != nil {
		return err
	}
	if err := describeYAML(w, "Status", rest); err != nil {
		return err
	}
	return describeEnd(w, conditions, events, now)
}

func describeMeta(w io.Writer, o *unstructured.Unstructured, now time.Time) error {
	created := o.GetCreationTimestamp()
	rows := [][]string{{"Name:", o.GetName()}}
	if o.GetNamespace() != "" {
		rows = append(rows, []string{"Namespace:", o.GetNamespace()})
	}
	rows = append(rows,
		[]string{"Kind:", o.GetKind() + " (" + o.GetAPIVersion() + ")"},
		[]string{"Labels:", pairs(o.GetLabels())},
		[]string{"Annotations:", pairs(o.GetAnnotations())},
		[]string{"Created:", created.UTC().Format(time.RFC3339) + " (" + ago(now, created.Time) + " ago)"},
	)
	if deleted := o.GetDeletionTimestamp(); deleted != nil {
		rows = append(rows, []string{"Being deleted:", "since " + ago(now, deleted.Time)})
	}
	return columns(w, rows)
}

// describeEnd is what the descriptions of all kinds end with.
func describeEnd(w io.Writer, conditions []metav1.Condition, events []corev1.Event, now time.Time) error {
	var rows [][]string
	for _, c := range conditions {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, ago(now, c.LastTransitionTime.Time), firstLine(c.Message)})
	}
	if len(rows) > 0 {
		rows = append([][]string{{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}}, rows...)
	}
	if err := section(w, "Conditions:", rows); err != nil {
		return err
	}
	rows = nil
	for _, e := range events {
		last := e.LastTimestamp.Time
		if last.IsZero() {
			last = e.EventTime.Time
		}
		rows = append(rows, []string{e.Type, e.Reason, ago(now, last), firstLine(e.Message)})
	}
	if len(rows) > 0 {
		rows = append([][]string{{"TYPE", "REASON", "AGE", "MESSAGE"}}, rows...)
	}
	return section(w, "Events:", rows)
}

// splitStatus takes the conditions out of the status.
func splitStatus(o *unstructured.Unstructured) ([]metav1.Condition, map[string]any, error) {
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	var typed struct {
		Conditions []metav1.Condition `json:"conditions"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &typed); err != nil {
		return nil, nil, fmt.Errorf("reading the status of %s: %w", o.GetName(), err)
	}
	delete(status, "conditions")
	return typed.Conditions, status, nil
}

// describeYAML writes a part that has no form of its own; nothing if it is empty.
func describeYAML(w io.Writer, heading string, v any) error {
	if m, ok := v.(map[string]any); v == nil || ok && len(m) == 0 {
		return nil
	}
	b, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the %s: %w", strings.ToLower(heading), err)
	}
	fmt.Fprintf(w, "\n%s:\n", heading)
	for line := range strings.Lines(string(b)) {
		if _, err := io.WriteString(w, "  "+line); err != nil {
			return err
		}
	}
	return nil
}

func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+firstLine(m[k]))
	}
	if len(out) == 0 {
		return "<none>"
	}
	return strings.Join(out, ", ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
