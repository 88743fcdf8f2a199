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

// podTemplate is a pod template as far as the compiler looks into it. By far the most is handed on as it is written, and not
// checked either: clusters refuse what is wrong with it.
type podTemplate struct {
	Metadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
	// fields are those of Spec, pod what is looked into; see read.
	fields map[string]json.RawMessage
	pod    podSpec
}

type podSpec struct {
	ServiceAccountName  string               `json:"serviceAccountName"`
	ServiceAccount      string               `json:"serviceAccount"` // the old spelling
	RestartPolicy       corev1.RestartPolicy `json:"restartPolicy"`
	HostNetwork         bool                 `json:"hostNetwork"`
	EphemeralContainers []struct{}           `json:"ephemeralContainers"`
	InitContainers      []container          `json:"initContainers"`
	Containers          []container          `json:"containers"`
	Volumes             []named              `json:"volumes"`
}

type named struct {
	Name string `json:"name"`
}

type container struct {
	Name         string          `json:"name"`
	Image        string          `json:"image"`
	Ports        []containerPort `json:"ports"`
	Env          []named         `json:"env"`
	VolumeMounts []volumeMount   `json:"volumeMounts"`
}

type containerPort struct {
	ContainerPort int32           `json:"containerPort"`
	Protocol      corev1.Protocol `json:"protocol"`
}

type volumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

// read reads the pod's spec.
func (t *podTemplate) read() error {
	if t.Spec == nil {
		return nil
	}
	if err := json.Unmarshal(t.Spec, &t.fields); err != nil {
		return err
	}
	return json.Unmarshal(t.Spec, &t.pod)
}

// templateOf reads a template that a person wrote.
func templateOf(template *corev1.PodTemplateSpec) (podTemplate, error) {
	var t podTemplate
	fields, err := fieldsOf(template)
	if err == nil {
		pruneTemplate(fields)
		err = json.Unmarshal(encode(fields), &t)
	}
	if err != nil {
		return t, invalidTemplate("spec.template", "it cannot be written: %v", err)
	}
	return t, nil
}

// proxied tells whether the mesh gives the template's pods a proxy: not where they ask for none, and never in the network of
// their node. A word that only some installations of Istio take for a yes is none.
func (t *podTemplate) proxied() bool {
	asked, ok := t.Metadata.Labels[labelInject]
	if !ok {
		asked, ok = t.Metadata.Annotations[labelInject]
	}
	return !t.pod.HostNetwork && (!ok || asked == "true")
}

// Proxied tells whether the mesh, where there is one, gives the pods of a template a proxy.
func Proxied(template *corev1.PodTemplateSpec) bool {
	var t podTemplate
	t.Metadata.Labels, t.Metadata.Annotations, t.pod.HostNetwork = template.Labels, template.Annotations, template.Spec.HostNetwork
	return t.proxied()
}

// compile writes the template for clusters with the mesh and without. An application can keep its pods out of the mesh.
func (t *podTemplate) compile(name string) (meshed, plain json.RawMessage) {
	labels := map[string]string{labelName: name, object.LabelApplication: name}
	maps.Copy(labels, t.Metadata.Labels)
	spec := maps.Clone(t.fields)
	delete(spec, "serviceAccount")
	spec["serviceAccountName"] = encode(name)
	encoded := json.RawMessage(encode(spec))
	with := func(labels map[string]string) json.RawMessage {
		metadata := fields{{"labels", labels}}
		if len(t.Metadata.Annotations) > 0 {
			metadata = append(metadata, field{"annotations", t.Metadata.Annotations})
		}
		return appendFields(make([]byte, 0, len(encoded)+512), fields{{"metadata", metadata}, {"spec", encoded}})
	}
	plain = with(labels)
	if _, ok := labels[labelInject]; ok || !t.proxied() {
		return plain, plain
	}
	labels[labelInject] = "true"
	return with(labels), plain
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
