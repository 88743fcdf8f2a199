package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/mesh"
)

// Istio's resources that carry calls between clusters.
var (
	workloadEntries = istio("workloadentries")
	serviceEntries  = istio("serviceentries")
	gateways        = istio("gateways")
	clusters        = schema.GroupVersionResource{Group: "meridian.dev", Version: "v1alpha1", Resource: "clusters"}
	machines        = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	pods            = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

func istio(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: resource}
}

// gatewayOf names the Gateway object of an application that is called from other networks.
func gatewayOf(application string) string {
	return "meridian-eastwest-" + mesh.GatewayPart(application)
}

// TestCallsAcrossClusters has an application call one that runs on another network, and then on its own too: what its
// cluster is told of the other's pods follows them, and nothing else is written.
func TestCallsAcrossClusters(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "calls")
	web := appSpec{namespace: "calls", name: "web", clusters: only(westA1), dependsOn: []string{"store"}}
	store := appSpec{namespace: "calls", name: "store", replicas: 3, clusters: only(eastA1)}
	f.submit(t, web.manifest(), store.manifest())
	f.ready(t, "calls", "web", "store")
	f.weighs(t, westA1, "calls", 3)

	t.Run("the called one's cluster lets the network in", func(t *testing.T) {
		await(t, "the gateway of "+eastA1+" exports the store", func(ctx context.Context) error {
			g, err := f.clusters[eastA1].get(ctx, gateways, "istio-system", gatewayOf("calls/store"))
			if err != nil {
				return err
			}
			servers, _, _ := unstructured.NestedSlice(g.Object, "spec", "servers")
			if text := fmt.Sprint(servers); !strings.Contains(text, "store.calls.svc.cluster.local") {
				return fmt.Errorf("the servers are %s", text)
			}
			return nil
		})
	})
	t.Run("the caller's cluster has the name", func(t *testing.T) {
		stub, err := f.clusters[westA1].get(t.Context(), services, "calls", "store")
		if err != nil {
			t.Fatal(err)
		}
		real, err := f.clusters[eastA1].get(t.Context(), services, "calls", "store")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := portsOf(stub), portsOf(real); got != want {
			t.Errorf("ports of the stub: got %s, want %s", got, want)
		}
	})
	t.Run("a count concerns one object", func(t *testing.T) {
		since := f.mark(t)
		store.replicas = 5
		f.submit(t, store.manifest())
		f.ready(t, "calls", "store")
		f.weighs(t, westA1, "calls", 5)
		f.beat(t)
		want := map[string][]string{eastA1: {"patch deployments calls/store"}, westA1: {"patch " + f.entry(t, workloadEntries, westA1, "calls")}}
		for name, got := range f.written(t, since) {
			// Pods that become ready one after another are counts one after another.
			if got = slices.Compact(got); !slices.Equal(got, want[name]) {
				t.Errorf("the agent of %s wrote\n\t%q, want only\n\t%q", name, got, want[name])
			}
		}
	})
	t.Run("all pods away and back", func(t *testing.T) {
		begun := time.Now()
		f.cordon(t, eastA1, true)
		f.evict(t, eastA1, "calls")
		f.weighs(t, westA1, "calls", 0)
		t.Logf("the entry went %v after the pods were deleted", time.Since(begun).Round(time.Millisecond))
		begun = time.Now()
		f.cordon(t, eastA1, false)
		f.weighs(t, westA1, "calls", 5)
		t.Logf("the entry was back %v after the nodes took pods again, the pods' start included", time.Since(begun).Round(time.Millisecond))
		f.ready(t, "calls", "store")
	})
	t.Run("addresses on the caller's own network", func(t *testing.T) {
		store.clusters, store.replicas = only(eastA1, westB1), 4
		f.submit(t, store.manifest())
		f.ready(t, "calls", "store")
		f.weighs(t, westA1, "calls", 2)
		await(t, westA1+" knows the pods of "+westB1, func(ctx context.Context) error {
			got, err := f.addresses(ctx, westA1, "calls")
			if err != nil {
				return err
			}
			want, err := f.podAddresses(ctx, westB1, "calls")
			if err == nil && (len(want) != 2 || !slices.Equal(got, want)) {
				err = fmt.Errorf("the ServiceEntries have %q, the pods %q", got, want)
			}
			return err
		})
	})
	t.Run("a dependency removed", func(t *testing.T) {
		web.dependsOn = nil
		f.submit(t, web.manifest())
		f.ready(t, "calls", "web")
		f.weighs(t, westA1, "calls", 0)
		await(t, "the stub is gone from "+westA1, func(ctx context.Context) error {
			_, err := f.clusters[westA1].get(ctx, services, "calls", "store")
			if apierrors.IsNotFound(err) {
				return nil
			}
			return cmpErr(err, "it is there")
		})
	})
}

// TestPolicyDecides forbids and allows a dependency on another namespace.
func TestPolicyDecides(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "bank")
	f.inNamespace(t, "till")
	ledger := appSpec{namespace: "bank", name: "ledger", clusters: only(westA2)}
	pay := appSpec{namespace: "till", name: "pay", clusters: only(westA1), dependsOn: []string{"{namespace: bank, name: ledger}"}}
	f.submit(t, ledger.manifest(), pay.manifest())
	f.ready(t, "bank", "ledger")
	f.ready(t, "till", "pay")
	sees := func(what string, want ...string) {
		t.Helper()
		await(t, what, func(ctx context.Context) error {
			got, err := f.hosts(ctx, westA1, "till", "pay")
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("the Sidecar has hosts %q, want %q", got, want)
			}
			return err
		})
	}
	own, other := hostsOf("till", "pay"), hostsOf("bank", "ledger")
	sees("what is forbidden is compiled nowhere", own...)
	f.hasCondition(t, "till", "pay", v1alpha1.ConditionDependenciesResolved, v1alpha1.ReasonDependencyDenied)

	f.submit(t, `apiVersion: meridian.dev/v1alpha1
kind: AccessPolicy
metadata: {name: tills, namespace: bank}
spec:
  applications: [ledger]
  rules:
  - from: [{namespace: till, application: pay}]
    ports: [8080]
    methods: [POST]
`)
	sees("what is allowed is compiled", append(other, own...)...)
	if said := f.meridian(t, "policy", "can-i", "till/pay", "bank/ledger", "--port", "8080", "--method", "POST"); !strings.Contains(said, "tills") {
		t.Errorf("can-i says %q, want the policy's name in it", said)
	}
	if said, err := f.command(t.Context(), "", "policy", "can-i", "till/pay", "bank/ledger", "--port", "8080", "--method", "GET"); err == nil {
		t.Errorf("can-i GET says %q and succeeds, want a refusal", said)
	}
	f.meridian(t, "delete", "accesspolicy", "tills", "-n", "bank")
	sees("what is forbidden again goes", own...)
}

// weighs waits until a namespace in a cluster has one entry, for the gateway of east-a-1, with the weight; none for 0.
func (f *federation) weighs(t *testing.T, cluster, namespace string, want int64) {
	t.Helper()
	await(t, fmt.Sprintf("the entries in %s weigh %d", cluster, want), func(ctx context.Context) error {
		list, err := f.clusters[cluster].objects.Resource(workloadEntries).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if want == 0 {
			return wrong("entries", len(list.Items), 0)
		}
		if err := wrong("entries", len(list.Items), 1); err != nil {
			return err
		}
		o := list.Items[0]
		weight, _, _ := unstructured.NestedInt64(o.Object, "spec", "weight")
		address, _, _ := unstructured.NestedString(o.Object, "spec", "address")
		gateway, err := f.gateway(ctx, eastA1)
		return errors.Join(err, wrong("weight", weight, want), wrong("address", address, gateway))
	})
}

// gateway is the address of a cluster's east-west gateway in the inventory.
func (f *federation) gateway(ctx context.Context, name string) (string, error) {
	c, err := f.hub.Resource(clusters).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	addresses, _, _ := unstructured.NestedStringSlice(c.Object, "spec", "mesh", "gateway", "addresses")
	if len(addresses) != 1 {
		return "", fmt.Errorf("cluster %s has the gateways %q, want one", name, addresses)
	}
	return addresses[0], nil
}

// entry is the name of a namespace's only WorkloadEntry or ServiceEntry in a cluster, as writes are listed.
func (f *federation) entry(t *testing.T, r schema.GroupVersionResource, cluster, namespace string) string {
	t.Helper()
	list, err := f.clusters[cluster].objects.Resource(r).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d %s in %s, error %v; want one", len(list.Items), r.Resource, cluster, err)
	}
	return r.Resource + " " + namespace + "/" + list.Items[0].GetName()
}

// addresses are those of all ServiceEntries of a namespace, sorted.
func (f *federation) addresses(ctx context.Context, cluster, namespace string) ([]string, error) {
	list, err := f.clusters[cluster].objects.Resource(serviceEntries).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, o := range list.Items {
		endpoints, _, _ := unstructured.NestedSlice(o.Object, "spec", "endpoints")
		for _, e := range endpoints {
			address, _, _ := unstructured.NestedString(e.(map[string]any), "address")
			out = append(out, address)
		}
	}
	slices.Sort(out)
	return out, nil
}

// podAddresses are those of a namespace's pods, sorted.
func (f *federation) podAddresses(ctx context.Context, cluster, namespace string) ([]string, error) {
	list, err := f.clusters[cluster].objects.Resource(pods).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, o := range list.Items {
		address, _, _ := unstructured.NestedString(o.Object, "status", "podIP")
		out = append(out, address)
	}
	slices.Sort(out)
	return out, nil
}

// cordon has a cluster's nodes take no pods, or take them again.
func (f *federation) cordon(t *testing.T, cluster string, on bool) {
	t.Helper()
	list, err := f.clusters[cluster].objects.Resource(machines).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list.Items {
		f.clusters[cluster].patch(t, machines, "", n.GetName(), fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, on))
	}
}

// evict deletes all pods of a namespace in a cluster.
func (f *federation) evict(t *testing.T, cluster, namespace string) {
	t.Helper()
	err := f.clusters[cluster].objects.Resource(pods).Namespace(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func portsOf(service *unstructured.Unstructured) string {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, p := range ports {
		delete(p.(map[string]any), "nodePort")
	}
	return fmt.Sprint(ports)
}
