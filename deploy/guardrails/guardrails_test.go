package guardrails_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/crds"
	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/deploy/guardrails"
	"github.com/meridian-federation/meridian/internal/local"
	"github.com/meridian-federation/meridian/internal/localkube"
)

// good is a container that nothing has to say against.
const good = `image: registry.example/team/web:1, resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}`

// pod writes an Application with one container, and more beside it in the pod.
func pod(container, more string) string {
	return spec(fmt.Sprintf("template: {spec: {containers: [{name: main, %s}]%s}}", container, more))
}

func spec(text string) string {
	return "{apiVersion: meridian.dev/v1alpha1, kind: Application, metadata: {name: web, namespace: default}, spec: {" + text + "}}"
}

// job writes an Application that brings a CronJob, with one container and more beside it in the pod.
func job(container, more string) string {
	return spec(fmt.Sprintf(`template: {spec: {containers: [{name: main, %s}]}}, resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: plain}},
		{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly},
		spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: job, %s}]%s}}}}}}]`, good, container, more))
}

// cases are Applications with what is said of them; "" is nothing.
var cases = map[string]struct{ manifest, want string }{
	"a pod that has nothing":       {pod(good, ""), ""},
	"a job that has nothing":       {job(good, ""), ""},
	"resources without a spec":     {spec("template: {spec: {containers: [{name: main, " + good + "}]}}, resources: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}]"), ""},
	"a job's template is missing":  {spec("template: {spec: {containers: [{name: main, " + good + "}]}}, resources: [{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {jobTemplate: {}}}]"), ""},
	"a job that cannot be read":    {spec("template: {spec: {containers: [{name: main, " + good + "}]}}, resources: [{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {jobTemplate: {spec: {template: {spec: {containers: 1}}}}}}]"), "denied request: expression"},
	"another kind with a template": {spec("template: {spec: {containers: [{name: main, " + good + "}]}}, resources: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: c}, spec: {template: {spec: {hostPID: true}}}}]"), "hostNetwork, hostPID and hostIPC are not allowed"},

	"another registry":                {pod("image: evil.example/web:1, "+limits, ""), "images from a registry that is not allowed: evil.example/web:1; allowed are those under registry.example/team, mirror.example:5000, as ConfigMap meridian-system/meridian-registries lists them"},
	"no registry":                     {pod("image: 'nginx:1', "+limits, ""), "not allowed: nginx:1;"},
	"a registry that begins the same": {pod("image: registry.example/teamster/web:1, "+limits, ""), "not allowed: registry.example/teamster/web:1;"},
	"a host that begins the same":     {pod("image: registry.example.evil/team/web:1, "+limits, ""), "not allowed: registry.example.evil/team/web:1;"},
	"a registry with a port":          {pod("image: 'mirror.example:5000/web@sha256:0', "+limits, ""), ""},
	"an init container's image":       {pod(good, ", initContainers: [{name: init, image: a/b, "+limits+"}, {name: init2, image: c/d, "+limits+"}]"), "not allowed: a/b, c/d;"},
	"a job's image":                   {job("image: a/b, "+limits, ""), "not allowed: a/b;"},
	"an image as a volume":            {pod(good, ", volumes: [{name: v, image: {reference: a/b}}]"), "not allowed: a/b;"},

	"host network":                      {pod(good, ", hostNetwork: true"), "hostNetwork, hostPID and hostIPC are not allowed"},
	"host PIDs":                         {pod(good, ", hostPID: true"), "hostNetwork, hostPID and hostIPC are not allowed"},
	"host IPC of a job":                 {job(good, ", hostIPC: true"), "hostNetwork, hostPID and hostIPC are not allowed"},
	"host namespaces refused by itself": {pod(good, ", hostNetwork: false, hostPID: false, hostIPC: false"), ""},
	"a host path":                       {pod(good, ", volumes: [{name: v, hostPath: {path: /}}]"), "volumes with hostPath are not allowed"},
	"a job's host path":                 {job(good, ", volumes: [{name: v, hostPath: {path: /}}]"), "volumes with hostPath are not allowed"},
	"an empty dir":                      {pod(good, ", volumes: [{name: v, emptyDir: {}}]"), ""},
	"a privileged container":            {pod(good+", securityContext: {privileged: true}", ""), "securityContext.privileged is not allowed"},
	"a privileged init container":       {pod(good, ", initContainers: [{name: init, "+good+", securityContext: {privileged: true}}]"), "securityContext.privileged is not allowed"},
	"a privileged job":                  {job(good+", securityContext: {privileged: true}", ""), "securityContext.privileged is not allowed"},
	"a container of the host's":         {pod(good+", securityContext: {windowsOptions: {hostProcess: true}}", ""), "windowsOptions.hostProcess is not allowed"},
	"a pod of the host's":               {pod(good, ", securityContext: {windowsOptions: {hostProcess: true}}"), "windowsOptions.hostProcess is not allowed"},
	"a capability to do all":            {pod(good+", securityContext: {capabilities: {add: [NET_BIND_SERVICE, SYS_ADMIN]}}", ""), "capabilities.add may have only AUDIT_WRITE"},
	"a capability of everybody's":       {pod(good+", securityContext: {capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}}", ""), ""},
	"an unmasked /proc":                 {pod(good+", securityContext: {procMount: Unmasked}", ""), "procMount may be Default alone"},
	"no seccomp":                        {pod(good, ", securityContext: {seccompProfile: {type: Unconfined}}"), "may not be Unconfined"},
	"no AppArmor":                       {pod(good+", securityContext: {appArmorProfile: {type: Unconfined}}", ""), "may not be Unconfined"},
	"the runtime's seccomp":             {pod(good, ", securityContext: {seccompProfile: {type: RuntimeDefault}}"), ""},
	"a sysctl of the node's":            {pod(good, ", securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}"), "sysctls may set only kernel.shm_rmid_forced"},
	"a sysctl of the pod's":             {pod(good, ", securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}]}"), ""},
	"a port of the host's":              {pod(good+", ports: [{containerPort: 80, hostPort: 80}]", ""), "ports with hostPort are not allowed"},
	"a port":                            {pod(good+", ports: [{containerPort: 80}]", ""), ""},

	"no limits":             {pod("image: registry.example/team/web:1", ""), "containers without resources.limits.memory and resources.requests.cpu: main; give each of them both"},
	"no memory limit":       {pod("image: registry.example/team/web:1, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1}}", ""), "requests.cpu: main; give"},
	"no CPU":                {pod("image: registry.example/team/web:1, resources: {limits: {memory: 1Gi}}", ""), "requests.cpu: main; give"},
	"limits alone":          {pod("image: registry.example/team/web:1, resources: {limits: {memory: 1Gi, cpu: 1}}", ""), ""},
	"a job without":         {job("image: registry.example/team/web:1", ""), "requests.cpu: job; give"},
	"init containers too":   {pod(good, ", initContainers: [{name: a, image: registry.example/team/a}, {name: b, image: registry.example/team/b}]"), "requests.cpu: a, b; give"},
	"all that is wrong one": {pod("image: a/b, securityContext: {privileged: true}", ", hostNetwork: true"), "denied request"},
}

const limits = "resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}"

func TestGuardrails(t *testing.T) {
	kube := localkube.ForTest(t, localkube.Config{APIOnly: true})
	if err := kube.InstallCRDs(t.Context(), crds.All()...); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(kube.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	apps := client.Resource(v1alpha1.GroupVersion.WithResource("applications")).Namespace("default")
	create := func(ctx context.Context, manifest string) error {
		var u unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
			t.Fatalf("%v in\n%s", err, manifest)
		}
		_, err := apps.Create(ctx, &u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		return err
	}
	for name, tt := range cases {
		if err := create(t.Context(), tt.manifest); err != nil {
			t.Fatalf("%s without guardrails: %v", name, err)
		}
	}
	for _, policy := range [][]byte{guardrails.Registries(), guardrails.Privileges(), guardrails.Limits()} {
		if err := local.Apply(t.Context(), kube.RESTConfig(), policy); err != nil {
			t.Fatal(err)
		}
	}
	// Policies are in force a moment after they are written.
	until := func(what string, done func(ctx context.Context) bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) { return done(ctx), nil })
		if err != nil {
			t.Fatalf("waiting until %s", what)
		}
	}
	for _, name := range []string{"another registry", "host network", "no limits"} {
		until(name+" is refused", func(ctx context.Context) bool {
			err := create(ctx, cases[name].manifest)
			return err != nil && strings.Contains(err.Error(), cases[name].want)
		})
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			err := create(t.Context(), tt.manifest)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("without the list of registries", func(t *testing.T) {
		maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("meridian-system")
		if err := maps.Delete(t.Context(), "meridian-registries", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		until("all are refused", func(ctx context.Context) bool { return create(ctx, pod(good, "")) != nil })
	})
}

// TestFields holds the fields of a spec in which pods could hide against those that the guardrails look into. A new field
// belongs to one of the lists, and to the policies if it can change or bring a pod.
func TestFields(t *testing.T) {
	looked := []string{"template", "resources"}
	harmless := []string{"replicas", "ports", "placement", "dependsOn", "address", "adopt"}
	spec := reflect.TypeFor[v1alpha1.ApplicationSpec]()
	for i := range spec.NumField() {
		name, _, _ := strings.Cut(spec.Field(i).Tag.Get("json"), ",")
		if !slices.Contains(slices.Concat(looked, harmless), name) {
			t.Errorf("nobody has said whether spec.%s can change or bring a pod; if so, have variables.pods of every policy look into it", name)
		}
	}
}
