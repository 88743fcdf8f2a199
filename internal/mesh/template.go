package mesh

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"

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
	labels, annotations map[string]string
	// fields are those of the pod's spec, pod what is looked into.
	fields []entry[json.RawMessage]
	pod    podSpec
}

type podSpec struct {
	serviceAccountName, serviceAccount string // the second is the old spelling
	restartPolicy                      string
	hostNetwork                        bool
	ephemeralContainers                int
	initContainers, containers         []container
	volumes                            []string
}

type container struct {
	name, image string
	ports       []containerPort
	env         []string
	mounts      []volumeMount
}

type containerPort struct {
	ContainerPort int32           `json:"containerPort"`
	Protocol      corev1.Protocol `json:"protocol"`
}

type volumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

// read reads a template, which is valid JSON.
func (t *podTemplate) read(template []byte) error {
	return each(template, func(key string, value []byte) error {
		switch key {
		case "metadata":
			return each(value, func(key string, value []byte) error {
				switch key {
				case "labels":
					return json.Unmarshal(value, &t.labels)
				case "annotations":
					return json.Unmarshal(value, &t.annotations)
				}
				return nil
			})
		case "spec":
			return each(value, func(key string, value []byte) error {
				if slices.ContainsFunc(t.fields, func(f entry[json.RawMessage]) bool { return f.key == key }) {
					return errors.New("it is there twice")
				}
				t.fields = append(t.fields, entry[json.RawMessage]{key, value})
				return t.pod.read(key, value)
			})
		}
		return nil
	})
}

// read reads one field.
func (p *podSpec) read(key string, value []byte) (err error) {
	switch key {
	case "serviceAccountName":
		p.serviceAccountName, err = text(value)
	case "serviceAccount":
		p.serviceAccount, err = text(value)
	case "restartPolicy":
		p.restartPolicy, err = text(value)
	case "hostNetwork":
		err = json.Unmarshal(value, &p.hostNetwork)
	case "ephemeralContainers":
		err = eachOf(value, func([]byte) error { p.ephemeralContainers++; return nil })
	case "initContainers":
		p.initContainers, err = containersOf(value)
	case "containers":
		p.containers, err = containersOf(value)
	case "volumes":
		p.volumes, err = namesOf(value)
	}
	return err
}

func containersOf(list []byte) ([]container, error) {
	var out []container
	err := eachOf(list, func(value []byte) error {
		var c container
		err := each(value, c.read)
		out = append(out, c)
		return err
	})
	return out, err
}

// read reads one field.
func (c *container) read(key string, value []byte) (err error) {
	switch key {
	case "name":
		c.name, err = text(value)
	case "image":
		c.image, err = text(value)
	case "ports":
		err = json.Unmarshal(value, &c.ports)
	case "env":
		c.env, err = namesOf(value)
	case "volumeMounts":
		err = json.Unmarshal(value, &c.mounts)
	}
	return err
}

// namesOf are the names of a list of objects.
func namesOf(list []byte) ([]string, error) {
	var out []string
	err := eachOf(list, func(value []byte) error {
		name := ""
		err := each(value, func(key string, value []byte) (err error) {
			if key == "name" {
				name, err = text(value)
			}
			return err
		})
		out = append(out, name)
		return err
	})
	return out, err
}

// templateOf reads a template that a person wrote.
func templateOf(template *corev1.PodTemplateSpec) (podTemplate, error) {
	var t podTemplate
	fields, err := fieldsOf(template)
	if err == nil {
		pruneTemplate(fields)
		err = t.read(encode(fields))
	}
	if err != nil {
		return t, invalidTemplate("spec.template", "it cannot be written: %v", err)
	}
	return t, nil
}

// proxied tells whether the mesh gives the template's pods a proxy: not where they ask for none, and never in the network of
// their node. A word that only some installations of Istio take for a yes is none.
func (t *podTemplate) proxied() bool {
	asked, ok := t.labels[labelInject]
	if !ok {
		asked, ok = t.annotations[labelInject]
	}
	return !t.pod.hostNetwork && (!ok || asked == "true")
}

// Proxied tells whether the mesh, where there is one, gives the pods of a template a proxy.
func Proxied(template *corev1.PodTemplateSpec) bool {
	var t podTemplate
	t.labels, t.annotations, t.pod.hostNetwork = template.Labels, template.Annotations, template.Spec.HostNetwork
	return t.proxied()
}

// compile writes the template for clusters with the mesh and without. An application can keep its pods out of the mesh.
func (t *podTemplate) compile(name string) (meshed, plain json.RawMessage) {
	labels := map[string]string{labelName: name, object.LabelApplication: name}
	maps.Copy(labels, t.labels)
	spec := []entry[json.RawMessage]{{"serviceAccountName", encode(name)}}
	for _, f := range t.fields {
		if f.key != "serviceAccountName" && f.key != "serviceAccount" {
			spec = append(spec, f)
		}
	}
	encoded := json.RawMessage(appendSorted(nil, spec, func(b []byte, raw json.RawMessage) []byte { return append(b, raw...) }))
	with := func(labels map[string]string) json.RawMessage {
		metadata := fields{{"labels", labels}}
		if len(t.annotations) > 0 {
			metadata = append(metadata, field{"annotations", t.annotations})
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
