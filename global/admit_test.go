package global

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/record"
)

func TestAdmit(t *testing.T) {
	prod := map[string]string{v1alpha1.LabelEnvironment: "prod", v1alpha1.LabelTenant: "retail"}
	tests := map[string]struct {
		namespace string
		labels    map[string]string
		edit      func(*v1alpha1.ApplicationSpec)
		want      string // REASON: part of the message; "" is accepted
	}{
		"good":                {"shop", prod, nil, ""},
		"system namespace":    {"kube-system", prod, nil, "InvalidSpec: reserved"},
		"default namespace":   {"default", prod, nil, "InvalidSpec: reserved"},
		"Meridian's own":      {"meridian-system", prod, nil, "InvalidSpec: reserved"},
		"the mesh's root":     {"istio-system", prod, nil, "InvalidSpec: root namespace in cluster w1-0"},
		"no environment":      {"shop", nil, nil, "NamespaceHasNoEnvironment: label it"},
		"unknown environment": {"shop", map[string]string{v1alpha1.LabelEnvironment: "lab"}, nil, "UnknownEnvironment: no Environment"},
		"no container": {"shop", prod, func(s *v1alpha1.ApplicationSpec) { s.Template.Spec.Containers = nil },
			"InvalidTemplate: containers"},
		"an account with more rights": {"shop", prod, func(s *v1alpha1.ApplicationSpec) { s.Template.Spec.ServiceAccountName = "admin" },
			"InvalidTemplate: spec.template.spec.serviceAccountName: \"admin\" is not the application's own account, web"},
		"a role": {"shop", prod, bringing(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"a"}}`),
			"ResourceNotAllowed: spec.resources[0].kind: kind \"RoleBinding\""},
		"an object of the cluster": {"shop", prod, bringing(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"bank"}}`),
			"ResourceNotAllowed: spec.resources[0].kind: kind \"Namespace\""},
		"another namespace": {"shop", prod, bringing(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"bank"}}`),
			"InvalidSpec: spec.resources[0].metadata.namespace: it is \"bank\" but must be"},
		"jobs as another": {"shop", prod, bringing(`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a"},` +
			`"spec":{"jobTemplate":{"spec":{"template":{"spec":{"serviceAccountName":"till"}}}}}}`),
			"ResourceNotAllowed: spec.resources[0].spec.jobTemplate.spec.template.spec.serviceAccountName: \"till\""},
		"another's autoscaler": {"shop", prod, bringing(`{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"a"},` +
			`"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"till"}}}`),
			"ResourceNotAllowed: spec.resources[0].spec.scaleTargetRef: it must be the application's own workload"},
		"too large": {"shop", prod, func(s *v1alpha1.ApplicationSpec) {
			s.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", Value: strings.Repeat("x", 300<<10)}}
		}, "SpecTooLarge: at most 256 KiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := testApplication("web")
			app.Namespace = tt.namespace
			if tt.edit != nil {
				tt.edit(&app.Spec)
			}
			in, why := admit(app, tt.labels, world(map[string]int{"w1": 1}))
			if why != nil {
				if reason, text, _ := strings.Cut(tt.want, ": "); tt.want == "" || why.reason != reason || !strings.Contains(why.message, text) {
					t.Errorf("refused with %s: %s; want %q", why.reason, why.message, tt.want)
				}
				return
			}
			if tt.want != "" {
				t.Fatalf("accepted, want %q", tt.want)
			}
			face, err := record.DecodeService(*in.service)
			if err != nil {
				t.Fatal(err)
			}
			if want := []record.Port{{Name: "http", Port: 80, TargetPort: 80, Protocol: "TCP"}}; !slices.Equal(face.Ports, want) {
				t.Errorf("ports are %+v, want %+v", face.Ports, want)
			}
			r, err := record.DecodeRevision(in.revision)
			if err != nil || r.Environment != "prod" || r.Tenant != "retail" || in.hash != in.revision.Version.String() {
				t.Errorf("revision is %+v, %v", r, err)
			}
		})
	}
}

// bringing has a spec bring one object along.
func bringing(manifest string) func(*v1alpha1.ApplicationSpec) {
	return func(s *v1alpha1.ApplicationSpec) {
		s.Resources = append(s.Resources, runtime.RawExtension{Raw: []byte(manifest)})
	}
}

func TestListed(t *testing.T) {
	var many []string
	for i := range 14 {
		many = append(many, fmt.Sprintf("n%02d", 13-i))
	}
	if got, want := listed(many), "n00, n01, n02, n03, n04, n05, n06, n07, n08, n09 and 4 more"; got != want {
		t.Errorf("listed = %q, want %q", got, want)
	}
}

// TestServiceTellsOfProxies has an application ask for no proxy: those who would call it from other clusters must know.
func TestServiceTellsOfProxies(t *testing.T) {
	tests := map[string]struct {
		template  corev1.PodTemplateSpec
		unproxied bool
	}{
		"nothing said": {},
		"no injection": {template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{"sidecar.istio.io/inject": "false"}}}, unproxied: true},
		"the node's network": {template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostNetwork: true}}, unproxied: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			app := &v1alpha1.Application{Spec: v1alpha1.ApplicationSpec{Template: tt.template}}
			if got := serviceOf(app, "prod", "").Unproxied; got != tt.unproxied {
				t.Errorf("unproxied is %t, want %t", got, tt.unproxied)
			}
		})
	}
}
