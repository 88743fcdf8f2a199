package mesh

import (
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/meridian-federation/meridian/internal/object"
)

const (
	// labelName is Kubernetes's recommended label; Istio's telemetry names workloads by it.
	labelName = "app.kubernetes.io/name"
	// labelInject has Istio's webhook add the proxy, whatever the namespace says. It was an annotation once, which counts
	// where there is no label.
	labelInject = "sidecar.istio.io/inject"
)

// proxied tells whether the mesh gives a template's pods a proxy: not where they ask for none, and never in the network of
// their node. A word that only some installations of Istio take for a yes is none.
func proxied(template *corev1.PodTemplateSpec) bool {
	asked, ok := template.Labels[labelInject]
	if !ok {
		asked, ok = template.Annotations[labelInject]
	}
	return !template.Spec.HostNetwork && (!ok || asked == "true")
}

// podTemplates compiles the pod template for clusters with the mesh and without. An application can keep its pods out of
// the mesh.
func podTemplates(name string, template *corev1.PodTemplateSpec) (meshed, plain json.RawMessage, err error) {
	if err := checkTemplate(name, template); err != nil {
		return nil, nil, err
	}
	t := bareTemplate(template)
	t.Spec.ServiceAccountName = name
	t.Labels = map[string]string{labelName: name, object.LabelApplication: name}
	maps.Copy(t.Labels, template.Labels)
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, nil, invalidTemplate("spec.template", "it cannot be written: %v", err)
	}
	pruneTemplate(fields)
	fields["spec"] = json.RawMessage(encode(fields["spec"])) // by far the most of both
	plain = encode(fields)
	if _, ok := t.Labels[labelInject]; ok || !proxied(template) {
		return plain, plain, nil
	}
	fields["metadata"].(map[string]any)["labels"].(map[string]any)[labelInject] = "true"
	return encode(fields), plain, nil
}

// bareTemplate leaves out what a pod template's metadata has no use for, and the old spelling of the account.
func bareTemplate(template *corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t := *template
	t.ObjectMeta = metav1.ObjectMeta{Labels: template.Labels, Annotations: template.Annotations}
	t.Spec.DeprecatedServiceAccount = ""
	return t
}

// fieldsOf reads v as JSON shows it.
func fieldsOf(v any) (map[string]any, error) {
	typed, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := kjson.Unmarshal(typed, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// pruneTemplate leaves out the empty objects that the Go types put where nothing was asked for: server-side apply would
// take them for wishes.
func pruneTemplate(template map[string]any) {
	dropNulls(template)
	dropEmpty(template, "metadata")
	spec, _ := template["spec"].(map[string]any)
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for _, c := range items(spec[list]) {
			dropEmpty(c, "resources")
		}
	}
	for _, volume := range items(spec["volumes"]) {
		ephemeral, _ := volume["ephemeral"].(map[string]any)
		claim, _ := ephemeral["volumeClaimTemplate"].(map[string]any)
		claimSpec, _ := claim["spec"].(map[string]any)
		dropEmpty(claim, "metadata")
		dropEmpty(claimSpec, "resources")
	}
}

func items(list any) []map[string]any {
	values, _ := list.([]any)
	out := make([]map[string]any, 0, len(values))
	for _, v := range values {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func dropEmpty(m map[string]any, field string) {
	if v, ok := m[field].(map[string]any); ok && len(v) == 0 {
		delete(m, field)
	}
}

func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, value any) bool { return value == nil })
		for _, value := range v {
			dropNulls(value)
		}
	case []any:
		for _, value := range v {
			dropNulls(value)
		}
	}
}
