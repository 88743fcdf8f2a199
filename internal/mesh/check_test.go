package mesh_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/samples"
	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestCheckAgreesWithObjects compares claims with what is compiled; without a mesh Istio's objects are missing.
func TestCheckAgreesWithObjects(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name(), func(t *testing.T) {
			in, spec := g.input(t)
			in.Cluster.Mesh.Dataplane = "Sidecar"
			claims, err := mesh.Check(in.Binding.Namespace, in.Binding.Application, &spec)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(idsOf(in.compile(t)), func(id object.ID) bool { return strings.Contains(id.Name, ".calls-") })
			if diff := cmp.Diff(needed(claims, got), got); diff != "" {
				t.Errorf("objects differ from the claims (-claims +objects):\n%s", diff)
			}
			in.Cluster.Mesh.Dataplane, in.primary = "None", record.Cluster{}
			got = idsOf(in.compile(t))
			if want := len(needed(claims, got)) - 2; len(got) != want {
				t.Errorf("without a mesh there are %d objects, want %d", len(got), want)
			}
		})
	}
}

// needed leaves out of claims the NetworkPolicy of pods with a proxy, if there is none: nobody is let in by it alone.
func needed(claims, objects []object.ID) []object.ID {
	return slices.DeleteFunc(slices.Clone(claims), func(id object.ID) bool {
		return id.Kind == "NetworkPolicy" && strings.HasSuffix(id.Name, ".proxied") && !slices.Contains(objects, id)
	})
}

func TestSamplesCompile(t *testing.T) {
	compiled := 0
	for _, doc := range samples.Documents() {
		var app v1alpha1.Application
		if err := yaml.Unmarshal(doc, &app); err != nil {
			t.Fatal(err)
		}
		if app.Kind != "Application" {
			continue
		}
		claims, err := mesh.Check(app.Namespace, app.Name, &app.Spec)
		if err != nil {
			t.Errorf("%s/%s: %v", app.Namespace, app.Name, err)
			continue
		}
		if diff := cmp.Diff(claims, decode(t, app.Namespace, app.Name, &app.Spec).IDs()); diff != "" {
			t.Errorf("%s/%s: normalised, it claims other objects:\n%s", app.Namespace, app.Name, diff)
		}
		compiled++
	}
	if compiled == 0 {
		t.Error("there are no sample applications")
	}
}

func TestCheckRefuses(t *testing.T) {
	type edit = func(*v1alpha1.ApplicationSpec)
	resource := func(json string) edit { return withResources(raw("%s", json)) }
	configMap := func(metadata string) edit {
		return withResources(raw(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{%s}}`, metadata))
	}
	cronJob := func(spec string) edit {
		return withResources(raw(`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a"},"spec":{"jobTemplate":{"spec":%s}}}`, spec))
	}
	autoscaler := func(target string) edit {
		return withResources(raw(`{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"a"},"spec":{"scaleTargetRef":%s}}`, target))
	}
	budget := func(selector string) edit {
		return withResources(raw(`{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"a"},"spec":{"selector":%s}}`, selector))
	}
	pod := func(f func(*corev1.PodSpec)) edit {
		return func(s *v1alpha1.ApplicationSpec) { f(&s.Template.Spec) }
	}
	container := func(f func(*corev1.Container)) edit {
		return pod(func(p *corev1.PodSpec) { f(&p.Containers[0]) })
	}
	label := func(key, value string) edit {
		return func(s *v1alpha1.ApplicationSpec) { s.Template.Labels = map[string]string{key: value} }
	}
	port := func(f func(*v1alpha1.Port)) edit {
		return func(s *v1alpha1.ApplicationSpec) { f(&s.Ports[0]) }
	}
	minus := int32(-1)
	const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"peers"%s},"spec":{"ports":[{"port":1},{"port":2%s}]}}`
	for name, c := range map[string]struct {
		edit                   edit
		field, reason, message string
	}{
		"kind not allowed": {resource(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed,
			"allowed are ConfigMap (v1), PersistentVolumeClaim (v1), PodDisruptionBudget (policy/v1), Service (v1), CronJob (batch/v1)"},
		"own kind": {resource(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"old version": {resource(`{"apiVersion":"batch/v1beta1","kind":"CronJob","metadata":{"name":"a"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, `"CronJob" of apiVersion "batch/v1beta1"`},
		"no object":          {resource(`[1]`), "spec.resources[0]", v1alpha1.ReasonInvalidSpec, "not an object"},
		"null":               {resource(`null`), "spec.resources[0]", v1alpha1.ReasonInvalidSpec, "not an object"},
		"nothing":            {withResources(runtime.RawExtension{}), "spec.resources[0]", v1alpha1.ReasonInvalidSpec, "not an object"},
		"name missing":       {configMap(`"generateName":"a-"`), "spec.resources[0].metadata.name", v1alpha1.ReasonInvalidSpec, "missing"},
		"name with slash":    {configMap(`"name":"a/b"`), "spec.resources[0].metadata.name", v1alpha1.ReasonInvalidSpec, `"a/b" cannot be the name`},
		"controller's name":  {configMap(`"name":"kube-root-ca.crt"`), "spec.resources[0].metadata.name", v1alpha1.ReasonInvalidSpec, "a controller keeps"},
		"other namespace":    {configMap(`"name":"a","namespace":"bank"`), "spec.resources[0].metadata.namespace", v1alpha1.ReasonInvalidSpec, `"bank" but must be the application's, shop`},
		"owner":              {configMap(`"name":"a","ownerReferences":[]`), "spec.resources[0].metadata.ownerReferences", v1alpha1.ReasonInvalidSpec, "UID"},
		"reserved label":     {configMap(`"name":"a","labels":{"meridian.dev/managed-by":"x"}`), "spec.resources[0].metadata.labels", v1alpha1.ReasonInvalidSpec, "Meridian's own"},
		"label not a string": {configMap(`"name":"a","labels":{"x":true}`), "spec.resources[0].metadata.labels", v1alpha1.ReasonInvalidSpec, "put it in quotes"},
		"labels not a map":   {configMap(`"name":"a","labels":["x"]`), "spec.resources[0].metadata.labels", v1alpha1.ReasonInvalidSpec, "not a map"},
		"label's value":      {configMap(`"name":"a","labels":{"x":"a b"}`), "spec.resources[0].metadata.labels", v1alpha1.ReasonInvalidSpec, `"a b" is not valid`},
		"same resource twice": {func(s *v1alpha1.ApplicationSpec) { configMap(`"name":"a"`)(s); configMap(`"name":"a"`)(s) },
			"spec.resources[1].metadata.name", v1alpha1.ReasonInvalidSpec, "ConfigMap shop/a is written by spec.resources[0] already"},
		"own Service": {resource(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"cart"}}`),
			"spec.resources[0].metadata.name", v1alpha1.ReasonInvalidSpec, "Service shop/cart is written by the application itself already"},
		"named targetPort": {withResources(raw(service, "", `,"targetPort":"http"`)),
			"spec.resources[0].spec.ports[1].targetPort", v1alpha1.ReasonInvalidSpec, "give the number"},
		"external addresses": {resource(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"peers"},"spec":{"externalIPs":["10.0.0.1"]}}`),
			"spec.resources[0].spec.externalIPs", v1alpha1.ReasonResourceNotAllowed, "leave them out"},
		"Service of another's pods": {resource(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"peers"},"spec":{"selector":{"meridian.dev/application":"till"}}}`),
			"spec.resources[0].spec.selector", v1alpha1.ReasonResourceNotAllowed, `"till": these are another application's pods; it must be cart`},
		"job as another": {cronJob(`{"template":{"spec":{"serviceAccountName":"till"}}}`),
			"spec.resources[0].spec.jobTemplate.spec.template.spec.serviceAccountName", v1alpha1.ReasonResourceNotAllowed, `"till" is not the application's own account, cart`},
		"job as another, as it was spelt": {cronJob(`{"template":{"spec":{"serviceAccountName":"cart","serviceAccount":"till"}}}`),
			"spec.resources[0].spec.jobTemplate.spec.template.spec.serviceAccount", v1alpha1.ReasonResourceNotAllowed, `"till" is not`},
		"job's pods as another's": {cronJob(`{"template":{"metadata":{"labels":{"meridian.dev/application":"till"}}}}`),
			"spec.resources[0].spec.jobTemplate.spec.template.metadata.labels", v1alpha1.ReasonInvalidSpec, "Meridian's own"},
		"job marked as Meridian's": {resource(`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"a"},"spec":{"jobTemplate":{"metadata":{"annotations":{"meridian.dev/object":"x"}}}}}`),
			"spec.resources[0].spec.jobTemplate.metadata.annotations", v1alpha1.ReasonInvalidSpec, "Meridian's own"},
		"autoscaler of another": {autoscaler(`{"apiVersion":"apps/v1","kind":"Deployment","name":"till"}`),
			"spec.resources[0].spec.scaleTargetRef", v1alpha1.ReasonResourceNotAllowed, "kind Deployment, name cart of apiVersion apps/v1"},
		"autoscaler of another kind": {autoscaler(`{"apiVersion":"example.com/v1","kind":"Deployment","name":"cart"}`),
			"spec.resources[0].spec.scaleTargetRef", v1alpha1.ReasonResourceNotAllowed, "kind Deployment, name cart of apiVersion apps/v1"},
		"autoscaler of what it does not have": {autoscaler(`{"apiVersion":"apps/v1","kind":"StatefulSet","name":"cart"}`),
			"spec.resources[0].spec.scaleTargetRef", v1alpha1.ReasonResourceNotAllowed, "kind Deployment, name cart of apiVersion apps/v1"},
		"autoscaler of nothing": {autoscaler(`null`),
			"spec.resources[0].spec.scaleTargetRef", v1alpha1.ReasonResourceNotAllowed, "kind Deployment, name cart of apiVersion apps/v1"},
		"budget for all pods": {budget(`{}`),
			"spec.resources[0].spec.selector.matchLabels", v1alpha1.ReasonResourceNotAllowed, "add meridian.dev/application: cart"},
		"budget for another": {budget(`{"matchLabels":{"meridian.dev/application":"till"}}`),
			"spec.resources[0].spec.selector.matchLabels", v1alpha1.ReasonResourceNotAllowed, "add meridian.dev/application: cart"},
		"role": {resource(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"a"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, `kind "RoleBinding" of apiVersion "rbac.authorization.k8s.io/v1" is not allowed`},
		"cluster's kind": {resource(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"a"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"namespace": {resource(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"account of its own": {resource(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"till"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"policy": {resource(`{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"all"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"pod": {resource(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"list of what is not allowed": {resource(`{"apiVersion":"v1","kind":"List","metadata":{"name":"a"},"items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}]}`),
			"spec.resources[0].kind", v1alpha1.ReasonResourceNotAllowed, "is not allowed"},
		"marked as Meridian's": {configMap(`"name":"a","annotations":{"meridian.dev/object":"core/v1/Namespace/-/bank"}`),
			"spec.resources[0].metadata.annotations", v1alpha1.ReasonInvalidSpec, "Meridian's own"},
		"exportTo": {withResources(raw(service, `,"annotations":{"networking.istio.io/exportTo":"*,a"}`, "")),
			"spec.resources[0].metadata.annotations", v1alpha1.ReasonInvalidSpec, `networking.istio.io/exportTo: "*" is not a namespace`},

		"no containers":    {pod(func(p *corev1.PodSpec) { p.Containers = nil }), "spec.template.spec.containers", v1alpha1.ReasonInvalidTemplate, "at least one container"},
		"no image":         {container(func(c *corev1.Container) { c.Image = "" }), "spec.template.spec.containers[0].image", v1alpha1.ReasonInvalidTemplate, "not an image"},
		"container's name": {container(func(c *corev1.Container) { c.Name = "A" }), "spec.template.spec.containers[0].name", v1alpha1.ReasonInvalidTemplate, `"A"`},
		"two of one name":  {pod(func(p *corev1.PodSpec) { p.InitContainers = p.Containers }), "spec.template.spec.containers[0].name", v1alpha1.ReasonInvalidTemplate, "no other container"},
		"two ports": {container(func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 1}, {ContainerPort: 1, Protocol: "TCP"}}
		}), "spec.template.spec.containers[0].ports[1].containerPort", v1alpha1.ReasonInvalidTemplate, "1/TCP"},
		"two variables":        {container(func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "A"}, {Name: "A"}} }), "spec.template.spec.containers[0].env[1].name", v1alpha1.ReasonInvalidTemplate, `"A"`},
		"unknown volume":       {container(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}} }), "spec.template.spec.containers[0].volumeMounts[0].name", v1alpha1.ReasonInvalidTemplate, `no volume "v"`},
		"two volumes":          {pod(func(p *corev1.PodSpec) { p.Volumes = []corev1.Volume{{Name: "v"}, {Name: "v"}} }), "spec.template.spec.volumes[1].name", v1alpha1.ReasonInvalidTemplate, `"v"`},
		"restart policy":       {pod(func(p *corev1.PodSpec) { p.RestartPolicy = "Never" }), "spec.template.spec.restartPolicy", v1alpha1.ReasonInvalidTemplate, "always restarted"},
		"ephemeral containers": {pod(func(p *corev1.PodSpec) { p.EphemeralContainers = make([]corev1.EphemeralContainer, 1) }), "spec.template.spec.ephemeralContainers", v1alpha1.ReasonInvalidTemplate, "leave them out"},
		"account":              {pod(func(p *corev1.PodSpec) { p.ServiceAccountName = "admin" }), "spec.template.spec.serviceAccountName", v1alpha1.ReasonInvalidTemplate, `"admin" is not the application's own account, cart`},
		"account, old field":   {pod(func(p *corev1.PodSpec) { p.DeprecatedServiceAccount = "admin" }), "spec.template.spec.serviceAccountName", v1alpha1.ReasonInvalidTemplate, `"admin"`},
		"selector's label":     {label("meridian.dev/application", "x"), "spec.template.metadata.labels", v1alpha1.ReasonInvalidTemplate, "must be cart"},
		"managed label":        {label("meridian.dev/managed-by", "meridian"), "spec.template.metadata.labels", v1alpha1.ReasonInvalidTemplate, "Meridian's own"},
		"broken label":         {label("a b", "x"), "spec.template.metadata.labels", v1alpha1.ReasonInvalidTemplate, "a b"},
		"reserved annotation": {func(s *v1alpha1.ApplicationSpec) {
			s.Template.Annotations = map[string]string{"meridian.dev/object": "x"}
		}, "spec.template.metadata.annotations", v1alpha1.ReasonInvalidTemplate, "Meridian's own"},

		"port's name":       {port(func(p *v1alpha1.Port) { p.Name = "a_b" }), "spec.ports[0].name", v1alpha1.ReasonInvalidSpec, "a_b"},
		"port's number":     {port(func(p *v1alpha1.Port) { p.Port = 0 }), "spec.ports[0].port", v1alpha1.ReasonInvalidSpec, "65535"},
		"target's number":   {port(func(p *v1alpha1.Port) { p.TargetPort = 70000 }), "spec.ports[0].targetPort", v1alpha1.ReasonInvalidSpec, "70000"},
		"protocol":          {port(func(p *v1alpha1.Port) { p.Protocol = "SCTP" }), "spec.ports[0].protocol", v1alpha1.ReasonInvalidSpec, "SCTP"},
		"one number twice":  {func(s *v1alpha1.ApplicationSpec) { s.Ports = append(s.Ports, v1alpha1.Port{Name: "b", Port: 80}) }, "spec.ports[1]", v1alpha1.ReasonInvalidSpec, "80/TCP"},
		"replicas":          {func(s *v1alpha1.ApplicationSpec) { s.Replicas = &minus }, "spec.replicas", v1alpha1.ReasonInvalidSpec, "-1"},
		"dependency's kind": {func(s *v1alpha1.ApplicationSpec) { s.DependsOn = []v1alpha1.Dependency{{Kind: "X", Name: "a"}} }, "spec.dependsOn[0].kind", v1alpha1.ReasonInvalidSpec, "Application"},
		"external dependency's name": {func(s *v1alpha1.ApplicationSpec) {
			s.DependsOn = []v1alpha1.Dependency{{Kind: v1alpha1.DependencyExternalService, Name: "db.external"}}
		}, "spec.dependsOn[0]", v1alpha1.ReasonInvalidSpec, "ExternalService"},
		"dependency's name": {func(s *v1alpha1.ApplicationSpec) { s.DependsOn = []v1alpha1.Dependency{{Name: "*"}} }, "spec.dependsOn[0]", v1alpha1.ReasonInvalidSpec, `"*"`},
	} {
		t.Run(name, func(t *testing.T) {
			ids, err := mesh.Check("shop", "cart", cartSpec(c.edit))
			var got *mesh.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, %v; want a *mesh.Error", ids, err)
			}
			if got.Field != c.field || got.Reason != c.reason || !strings.Contains(got.Message, c.message) {
				t.Errorf("got  %s: %s: %s\nwant %s: %s: …%s…", got.Reason, got.Field, got.Message, c.reason, c.field, c.message)
			}
		})
	}
}

func TestCheckRefusesNames(t *testing.T) {
	for name, c := range map[string]struct{ namespace, name, field string }{
		"too long":        {"shop", strings.Repeat("a", 41), "metadata.name"},
		"not DNS-1035":    {"shop", "1a", "metadata.name"},
		"default account": {"shop", "default", "metadata.name"},
		"API server":      {"default", "kubernetes", "metadata.name"},
		"kube-system":     {"kube-system", "a", "metadata.namespace"},
		"mesh's root":     {"istio-system", "a", "metadata.namespace"},
		"no namespace":    {"", "a", "metadata.namespace"},
	} {
		_, err := mesh.Check(c.namespace, c.name, cartSpec())
		var got *mesh.Error
		if !errors.As(err, &got) || got.Field != c.field {
			t.Errorf("%s: got %v, want an error of %s", name, err, c.field)
		}
	}
	if _, err := mesh.Check("shop", strings.Repeat("a", 40), cartSpec()); err != nil {
		t.Errorf("a name of 40 characters: %v", err)
	}
}
