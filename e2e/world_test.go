package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// world is which applications run where, and what clusters should hold for it. All dependencies are allowed.
type world struct {
	apps     map[string]*v1alpha1.Application
	placed   map[string]map[string]int32 // replicas by application and cluster
	networks map[string]string           // by cluster
}

func (w world) add(app *v1alpha1.Application, placed map[string]int32) {
	name := app.Namespace + "/" + app.Name
	w.apps[name], w.placed[name] = app, placed
}

// calleesOf names the applications that one depends on.
func calleesOf(app *v1alpha1.Application) []string {
	var out []string
	for _, d := range app.Spec.DependsOn {
		if d.Kind == v1alpha1.DependencyExternalService {
			continue
		}
		namespace := d.Namespace
		if namespace == "" {
			namespace = app.Namespace
		}
		out = append(out, namespace+"/"+d.Name)
	}
	return out
}

// called are the applications that those in a cluster depend on.
func (w world) called(cluster string) map[string]bool {
	out := map[string]bool{}
	for name, app := range w.apps {
		if w.placed[name][cluster] == 0 {
			continue
		}
		for _, callee := range calleesOf(app) {
			out[callee] = true
		}
	}
	return out
}

// isCalled tells whether anything that is placed depends on an application: then its proxies are reached from other clusters,
// whose pods and gateways only they can judge.
func (w world) isCalled(callee string) bool {
	for name, app := range w.apps {
		if len(w.placed[name]) > 0 && slices.Contains(calleesOf(app), callee) {
			return true
		}
	}
	return false
}

// calledFromOutside tells whether an application is called from another network than a cluster's.
func (w world) calledFromOutside(callee, cluster string) bool {
	for name, app := range w.apps {
		if !slices.Contains(calleesOf(app), callee) {
			continue
		}
		for c := range w.placed[name] {
			if w.networks[c] != w.networks[cluster] {
				return true
			}
		}
	}
	return false
}

// objects names what a cluster should hold, but for remote endpoints.
func (w world) objects(cluster string) []string {
	set := map[string]bool{"Sidecar istio-system/default": true}
	for name, app := range w.apps {
		if w.placed[name][cluster] == 0 {
			continue
		}
		set["Namespace "+app.Namespace], set["PeerAuthentication "+app.Namespace+"/default"] = true, true
		for _, kind := range []string{"ServiceAccount", "Deployment", "Sidecar", "AuthorizationPolicy", "NetworkPolicy"} {
			set[kind+" "+name] = true
		}
		if len(app.Spec.Ports) > 0 {
			set["Service "+name] = true
		}
		for _, r := range app.Spec.Resources {
			var o unstructured.Unstructured
			if err := o.UnmarshalJSON(r.Raw); err == nil {
				set[o.GetKind()+" "+app.Namespace+"/"+o.GetName()] = true
			}
		}
		if w.isCalled(name) {
			set["NetworkPolicy "+name+".proxied"] = true
		}
		if w.calledFromOutside(name, cluster) {
			set["Gateway istio-system/"+gatewayOf(name)] = true
		}
	}
	for callee := range w.called(cluster) {
		namespace, _, _ := strings.Cut(callee, "/")
		set["Namespace "+namespace], set["Service "+callee], set["DestinationRule "+callee] = true, true, true
	}
	return slices.Sorted(maps.Keys(set))
}

// remote is where what is called in a cluster runs elsewhere: the clusters of other networks, and the pods on its own.
func (w world) remote(cluster string) map[string]endpoints {
	out := map[string]endpoints{}
	for callee := range w.called(cluster) {
		var e endpoints
		for c, replicas := range w.placed[callee] {
			switch {
			case c == cluster:
			case w.networks[c] == w.networks[cluster]:
				e.addresses += int(replicas)
			default:
				e.weights = append(e.weights, fmt.Sprintf("%s %d", c, replicas))
			}
		}
		slices.Sort(e.weights)
		if e.addresses > 0 || e.weights != nil {
			out[callee] = e
		}
	}
	return out
}

// endpoints are those of one called application in other clusters: weights by cluster, and how many addresses.
type endpoints struct {
	weights   []string
	addresses int
}

// hasEndpoints waits until a cluster's WorkloadEntries and ServiceEntries are these: they follow the pods.
func (f *federation) hasEndpoints(t *testing.T, cluster string, want map[string]endpoints) {
	t.Helper()
	at := map[string]string{}
	for _, name := range allClusters {
		address, err := f.gateway(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		at[address] = name
	}
	await(t, "the endpoints in "+cluster+" are those of what it calls", func(ctx context.Context) error {
		got := map[string]endpoints{}
		entries, err := f.clusters[cluster].objects.Resource(workloadEntries).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range entries.Items {
			name := appOf(o)
			e := got[name]
			address, _, _ := unstructured.NestedString(o.Object, "spec", "address")
			weight, _, _ := unstructured.NestedInt64(o.Object, "spec", "weight")
			e.weights = append(e.weights, fmt.Sprintf("%s %d", at[address], weight))
			slices.Sort(e.weights)
			got[name] = e
		}
		list, err := f.clusters[cluster].objects.Resource(serviceEntries).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range list.Items {
			name := appOf(o)
			if _, external := record.CutExternal(name); external {
				continue // outside, and the same everywhere
			}
			e := got[name]
			chunk, _, _ := unstructured.NestedSlice(o.Object, "spec", "endpoints")
			e.addresses += len(chunk)
			got[name] = e
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}

// appOf is the application that an object belongs to.
func appOf(o unstructured.Unstructured) string {
	return o.GetNamespace() + "/" + o.GetLabels()[object.LabelApplication]
}

// networks are those of the clusters.
func (f *federation) networks(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range allClusters {
		c, err := f.hub.Resource(clusters).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out[name], _, _ = unstructured.NestedString(c.Object, "spec", "network")
	}
	return out
}
