package mesh_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
)

func normalise(t *testing.T, spec *v1alpha1.ApplicationSpec) string {
	t.Helper()
	content, err := mesh.Normalise("shop", "cart", spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestNormalise(t *testing.T) {
	spec := &v1alpha1.ApplicationSpec{
		Template:  corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a<b"}}}},
		Ports:     []v1alpha1.Port{{Name: "http", Port: 80}},
		DependsOn: []v1alpha1.Dependency{{Name: "b"}, {Name: "a"}},
	}
	spec.Placement.Tolerations = []v1alpha1.Toleration{{Key: "k"}}
	const want = `{"dependsOn":[{"kind":"Application","name":"a","namespace":"shop"},{"kind":"Application","name":"b","namespace":"shop"}],` +
		`"placement":{"mode":"Divided","tolerations":[{"key":"k","operator":"Equal"}]},` +
		`"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":80}],"replicas":1,` +
		`"template":{"spec":{"containers":[{"image":"a<b","name":"a"}]}}}`
	if diff := cmp.Diff(want, normalise(t, spec)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if spec.Replicas != nil || spec.DependsOn[0].Name != "b" || spec.Ports[0].TargetPort != 0 {
		t.Errorf("the spec was changed: %+v", spec)
	}
}

// TestNormaliseEqualSpecs writes one wish in two ways.
func TestNormaliseEqualSpecs(t *testing.T) {
	one := int32(1)
	type edit = func(*v1alpha1.ApplicationSpec)
	for name, c := range map[string]struct{ a, b edit }{
		"replicas":          {func(*v1alpha1.ApplicationSpec) {}, func(s *v1alpha1.ApplicationSpec) { s.Replicas = &one }},
		"protocol":          {func(*v1alpha1.ApplicationSpec) {}, func(s *v1alpha1.ApplicationSpec) { s.Ports[0].Protocol = corev1.ProtocolTCP }},
		"mode":              {func(*v1alpha1.ApplicationSpec) {}, func(s *v1alpha1.ApplicationSpec) { s.Placement.Mode = v1alpha1.PlacementDivided }},
		"account":           {func(*v1alpha1.ApplicationSpec) {}, func(s *v1alpha1.ApplicationSpec) { s.Template.Spec.ServiceAccountName = "cart" }},
		"template's status": {func(*v1alpha1.ApplicationSpec) {}, func(s *v1alpha1.ApplicationSpec) { s.Template.CreationTimestamp = metav1.Now() }},
		"order of dependencies": {
			func(s *v1alpha1.ApplicationSpec) { s.DependsOn = []v1alpha1.Dependency{{Name: "a"}, {Name: "b"}} },
			func(s *v1alpha1.ApplicationSpec) {
				s.DependsOn = []v1alpha1.Dependency{{Name: "b", Namespace: "shop"}, {Name: "a"}, {Name: "b", Kind: "Application"}}
			}},
		"quantity": {
			func(s *v1alpha1.ApplicationSpec) {
				s.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1000m")}
			},
			func(s *v1alpha1.ApplicationSpec) {
				s.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1")}
			}},
		"a resource's text": {
			withResources(raw(`{"kind": "ConfigMap","apiVersion":"v1", "metadata":{"name":"x"}}`)),
			withResources(raw(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\u0078"}}`))},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(normalise(t, cartSpec(c.a)), normalise(t, cartSpec(c.b))); diff != "" {
				t.Errorf("the bytes differ:\n%s", diff)
			}
		})
	}
}

func TestNormaliseAgainChangesNothing(t *testing.T) {
	for _, g := range goldens(t) {
		_, spec := g.input(t)
		first := normalise(t, &spec)
		var again v1alpha1.ApplicationSpec
		if err := json.Unmarshal([]byte(first), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, normalise(t, &again)); diff != "" {
			t.Errorf("%s (-first +again):\n%s", g.name(), diff)
		}
	}
}

// TestEmptyObjectsAreKnown walks Kubernetes' pod template for struct fields that Go writes as {} where nothing was asked
// for. A new one must be added to what the compiler drops.
func TestEmptyObjectsAreKnown(t *testing.T) {
	want := map[string]bool{
		"PodTemplateSpec.metadata": true, "PodTemplateSpec.spec": true,
		"Container.resources": true, "EphemeralContainerCommon.resources": true,
		"PersistentVolumeClaimTemplate.metadata": true,
		"PersistentVolumeClaimSpec.resources":    true,
	}
	got := map[string]bool{}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[typ] || reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Marshaler]()) {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && f.Type.Kind() == reflect.Struct && strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") &&
				!reflect.PointerTo(f.Type).Implements(reflect.TypeFor[json.Marshaler]()) {
				got[typ.Name()+"."+name] = true
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[corev1.PodTemplateSpec]())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("struct fields (-want +got):\n%s", diff)
	}
}
