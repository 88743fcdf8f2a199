package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/question"
)

func TestUpSaysWhatItDoesAndWhatToTry(t *testing.T) {
	f := start(t)
	said := f.upSaid
	for _, want := range []string{"2 regions, 3 zones with 4 replicas, 4 clusters of 3 nodes", "building Meridian", "starting cluster west-a-2",
		"starting etcd-west-a", "starting zone-west-a-1", "starting agent-east-a-1", "4/4 clusters connected", "applications converged and ready", "meridian status",
		"kubeconfigs/global.yaml", "kubeconfigs/west-b-1.yaml"} {
		if !strings.Contains(said, want) {
			t.Errorf("`meridian up` does not say %q; it said\n%s", want, said)
		}
	}
}

// TestClustersHaveExactlyTheirObjects computes from the specs what each cluster should hold. Which cluster runs what is
// the zones' to choose within the specs' bounds, which are checked on what is found.
func TestClustersHaveExactlyTheirObjects(t *testing.T) {
	f := start(t)
	apps, err := f.apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := world{apps: map[string]*v1alpha1.Application{}, placed: map[string]map[string]int32{}, networks: f.networks(t)}
	for i := range apps {
		app := &apps[i]
		placed := f.deployed(t, app)
		checkPlacement(t, app, placed)
		w.add(app, placed)
	}
	want := map[string][]string{}
	for _, name := range allClusters {
		want[name] = w.objects(name)
		f.hasEndpoints(t, name, w.remote(name))
	}
	for _, name := range allClusters {
		objects, err := f.clusters[name].managed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range objects {
			if kind, _, _ := strings.Cut(o.name, " "); kind == "WorkloadEntry" || kind == "ServiceEntry" {
				continue // held by hasEndpoints
			}
			got = append(got, o.name)
		}
		if d := differ(got, want[name]); d != "" {
			t.Errorf("%s has other objects than the applications placed there have:%s", name, d)
		}
		f.hasNoStrays(t, name, apps)
	}
}

// deployed returns the replicas of an application by cluster. Its Deployments must be Ready and as its spec says.
func (f *federation) deployed(t *testing.T, app *v1alpha1.Application) map[string]int32 {
	t.Helper()
	out := map[string]int32{}
	for _, name := range allClusters {
		list, err := f.clusters[name].objects.Resource(deployments).Namespace(app.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			if list.Items[i].GetName() != app.Name {
				continue
			}
			var d appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &d); err != nil {
				t.Fatal(err)
			}
			out[name] = *d.Spec.Replicas
			where := fmt.Sprintf("%s: Deployment %s/%s", name, d.Namespace, d.Name)
			if s := d.Status; s.ObservedGeneration != d.Generation || s.ReadyReplicas != *d.Spec.Replicas || s.UpdatedReplicas != *d.Spec.Replicas {
				t.Errorf("%s: %d ready and %d updated of %d", where, s.ReadyReplicas, s.UpdatedReplicas, *d.Spec.Replicas)
			}
			if got, want := images(d.Spec.Template.Spec), images(app.Spec.Template.Spec); !slices.Equal(got, want) {
				t.Errorf("%s: got images %q, want %q", where, got, want)
			}
			f.checkSidecar(t, name, app)
		}
	}
	return out
}

func images(p corev1.PodSpec) []string {
	var out []string
	for _, c := range p.Containers {
		out = append(out, c.Image)
	}
	return out
}

// checkPlacement holds where an application was found against its spec and its status.
func checkPlacement(t *testing.T, app *v1alpha1.Application, placed map[string]int32) {
	t.Helper()
	name := app.Namespace + "/" + app.Name
	var total int32
	zones := map[string]int{}
	for cluster, replicas := range placed {
		total += replicas
		zones[cluster[:strings.LastIndex(cluster, "-")]]++
		if s := app.Spec.Placement.Regions; s != nil && !strings.HasPrefix(cluster, s.MatchLabels[v1alpha1.LabelName]+"-") {
			t.Errorf("%s runs in %s, outside its region", name, cluster)
		}
		if s := app.Spec.Placement.Zones; s != nil && !strings.HasPrefix(cluster, s.MatchLabels[v1alpha1.LabelName]+"-") {
			t.Errorf("%s runs in %s, outside its zone", name, cluster)
		}
	}
	want := *app.Spec.Replicas
	if app.Spec.Placement.Mode == v1alpha1.PlacementDuplicated {
		want *= int32(len(placed))
	}
	if total != want {
		t.Errorf("%s has %d replicas in %v, want %d", name, total, placed, want)
	}
	if s := app.Status; int(s.Clusters) != len(placed) || int(s.ZoneCount) != len(zones) || s.Ready != total || s.Desired != total {
		t.Errorf("%s says %d clusters, %d zones, %d of %d ready; found %v", name, s.Clusters, s.ZoneCount, s.Ready, s.Desired, placed)
	}
	if s := app.Spec.Placement.Spread; s != nil {
		if s.MaxZones > 0 && len(zones) > int(s.MaxZones) {
			t.Errorf("%s is in %d zones, at most %d allowed", name, len(zones), s.MaxZones)
		}
		for zone, n := range zones {
			if s.MaxClustersPerZone > 0 && n > int(s.MaxClustersPerZone) {
				t.Errorf("%s is in %d clusters of %s, at most %d allowed", name, n, zone, s.MaxClustersPerZone)
			}
		}
	}
}

// checkSidecar holds a Sidecar's hosts against the application's own face and what it depends on.
func (f *federation) checkSidecar(t *testing.T, cluster string, app *v1alpha1.Application) {
	t.Helper()
	got, err := f.hosts(t.Context(), cluster, app.Namespace, app.Name)
	if err != nil {
		t.Error(err)
		return
	}
	want := hostsOf(app.Namespace, app.Name)
	for _, d := range calleesOf(app) {
		namespace, name, _ := strings.Cut(d, "/")
		want = append(want, hostsOf(namespace, name)...)
	}
	externals, err := f.externals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range app.Spec.DependsOn {
		if d.Kind != v1alpha1.DependencyExternalService {
			continue
		}
		namespace := cmp.Or(d.Namespace, app.Namespace)
		for _, x := range externals {
			if x.Namespace == namespace && x.Name == d.Name {
				for _, host := range x.Spec.Hosts {
					want = append(want, namespace+"/"+host)
				}
			}
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: Sidecar %s/%s has hosts %q, want %q", cluster, app.Namespace, app.Name, got, want)
	}
}

func hostsOf(namespace string, names ...string) []string {
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%s/%s.%s.svc.cluster.local", namespace, name, namespace))
	}
	return out
}

// hosts are those that a Sidecar lets the proxies know of.
func (f *federation) hosts(ctx context.Context, cluster, namespace, name string) ([]string, error) {
	o, err := f.clusters[cluster].get(ctx, sidecars, namespace, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cluster, err)
	}
	egress, _, err := unstructured.NestedSlice(o.Object, "spec", "egress")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range egress {
		hosts, _, err := unstructured.NestedStringSlice(e.(map[string]any), "hosts")
		if err != nil {
			return nil, err
		}
		out = append(out, hosts...)
	}
	slices.Sort(out)
	return out, nil
}

// hasNoStrays looks for objects in the applications' namespaces that are nobody's.
func (f *federation) hasNoStrays(t *testing.T, cluster string, apps []v1alpha1.Application) {
	t.Helper()
	var in []string
	for _, app := range apps {
		in = append(in, app.Namespace)
	}
	all, err := f.clusters[cluster].all(t.Context(), in...)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if !o.managed {
			t.Errorf("%s has %s, which is nobody's", cluster, o.name)
		}
	}
}

func TestApplicationsReadWell(t *testing.T) {
	f := start(t)
	commands := map[string][]string{"meridian": {f.program(), "get", "applications", "-A"}}
	if kubectl, err := exec.LookPath("kubectl"); err == nil {
		commands["kubectl"] = []string{kubectl, "get", "applications", "-A"}
	}
	apps, err := f.apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range commands {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = append(cmd.Environ(), "KUBECONFIG="+f.run.Kubeconfig("global"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if got, want := strings.Fields(lines[0]), "NAMESPACE NAME CONVERGED READY ZONES ADDRESS REVISION AGE MESSAGE"; strings.Join(got, " ") != want {
				t.Errorf("got columns %q, want %q", got, want)
			}
			for _, app := range apps {
				want := strings.Join(strings.Fields(fmt.Sprintf("%s %s True %d/%d %d %s %s", app.Namespace, app.Name, app.Status.Desired,
					app.Status.Desired, app.Status.ZoneCount, app.Status.Address, app.Status.Revision)), " ")
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(strings.Join(strings.Fields(l), " "), want) }) {
					t.Errorf("no line begins with %q in\n%s", want, out)
				}
			}
		})
	}
}

func TestStatusAndTraceReachEveryCluster(t *testing.T) {
	f := start(t)
	answer, err := f.ask(t.Context(), question.KindApplication, question.ApplicationRequest{Namespace: "shop", Name: "frontend"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range allClusters {
		n := node(answer, question.TierCluster, name)
		if n.Application == nil {
			t.Errorf("nothing of %s: %s", name, n.Unanswered)
			continue
		}
		a := n.Application
		if a.Ready != 1 || a.Converged != 1 || a.Revision != answer.Application.Revision {
			t.Errorf("%s: got %+v, want one ready replica of revision %s", name, a, answer.Application.Revision)
		}
	}
	for _, command := range []string{"status", "trace"} {
		said := f.meridian(t, command, "shop/frontend")
		for _, want := range append([]string{"global", "region west", "region east", "zone west-b", answer.Application.Revision[:10]}, allClusters...) {
			if command == "trace" && want == "global" {
				continue
			}
			if !strings.Contains(said, want) {
				t.Errorf("`meridian %s` does not say %q:\n%s", command, want, said)
			}
		}
	}
}
