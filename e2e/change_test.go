package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/internal/object"
)

// TestChangesArriveWhereTheyConcern changes one thing at a time, of applications in the zone west-a alone, and counts
// the writes of every cluster's agent.
func TestChangesArriveWhereTheyConcern(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "change")
	web := appSpec{namespace: "change", name: "web", replicas: 2, clusters: only(westA1, westA2), dependsOn: []string{"store"}}
	store := appSpec{namespace: "change", name: "store", replicas: 2, clusters: only(westA1, westA2)}
	cache := appSpec{namespace: "change", name: "cache", replicas: 1, clusters: only(eastA1)}
	f.submit(t, web.manifest(), store.manifest(), cache.manifest())
	f.ready(t, "change", "web", "store", "cache")
	west := []string{westA1, westA2}
	for _, c := range west { // the store in each is called in the other
		await(t, c+" knows the store's other place", func(ctx context.Context) error {
			got, err := f.addresses(ctx, c, "change")
			return errors.Join(err, wrong("addresses", len(got), 1))
		})
	}
	toStore := map[string]string{} // what carries the calls to it, by cluster
	for _, c := range west {
		toStore[c] = f.entry(t, serviceEntries, c, "change")
	}

	// each tells which writes are wanted of the agents of west-a-1 and west-a-2.
	each := func(lines ...string) map[string][]string {
		return map[string][]string{westA1: lines, westA2: slices.Clone(lines)}
	}
	change := func(name string, do func(t *testing.T), want func() map[string][]string) {
		if !t.Run(name, func(t *testing.T) {
			since := f.mark(t)
			do(t)
			f.wrote(t, since, want())
		}) {
			t.FailNow() // what follows starts from here
		}
	}

	change("image", func(t *testing.T) {
		web.image = "example.com/app:2"
		f.submit(t, web.manifest())
		f.ready(t, "change", "web")
		f.eachDeployment(t, "web", []string{westA1, westA2}, func(d *unstructured.Unstructured) error {
			return wrong("image", imageOf(d), web.image)
		})
	}, func() map[string][]string { return each("patch deployments change/web") })

	change("replicas", func(t *testing.T) {
		web.replicas = 6
		f.submit(t, web.manifest())
		f.ready(t, "change", "web")
		f.eachDeployment(t, "web", []string{westA1, westA2}, func(d *unstructured.Unstructured) error {
			ready, _, _ := unstructured.NestedInt64(d.Object, "status", "readyReplicas")
			return wrong("ready replicas", ready, 3)
		})
	}, func() map[string][]string { return each("patch deployments change/web") })

	toCache := map[string]string{}
	change("dependency", func(t *testing.T) {
		web.dependsOn = []string{"store", "cache"}
		f.submit(t, web.manifest())
		f.ready(t, "change", "web")
		want := hostsOf("change", "cache", "store", "web")
		for _, c := range []string{westA1, westA2} {
			await(t, "the Sidecar of "+c+" knows the new dependency", func(ctx context.Context) error {
				got, err := f.hosts(ctx, c, "change", "web")
				if err == nil && !slices.Equal(got, want) {
					err = fmt.Errorf("got hosts %q, want %q", got, want)
				}
				return err
			})
		}
		for _, c := range west {
			f.weighs(t, c, "change", 1)
			toCache[c] = f.entry(t, workloadEntries, c, "change")
		}
	}, func() map[string][]string {
		// The policy lets the calls out twice: to the dependency, and to its gateway, when that is heard of.
		want := each("patch sidecars change/web", "patch networkpolicies change/web", "patch networkpolicies change/web",
			"patch services change/cache", "patch destinationrules change/cache")
		for _, c := range west {
			want[c] = append(want[c], "patch "+toCache[c])
		}
		want[eastA1] = []string{"patch services change/cache", "patch networkpolicies change/cache.proxied", "patch gateways istio-system/" + gatewayOf("change/cache")}
		return want
	})

	change("the same again", func(t *testing.T) {
		f.submit(t, web.manifest())
		f.ready(t, "change", "web")
	}, func() map[string][]string { return nil })

	ungated := "" // the write that has the gateway hand on no more calls of the cache
	change("deletion", func(t *testing.T) {
		ungated = f.ungating(t, eastA1, "change/cache")
		f.deleteApp(t, "change", "web")
		f.gone(t, "change", "web", allClusters...)
		// That nobody calls them is told a while later.
		for _, c := range west {
			f.unlabelled(t, c, "change", "store")
		}
		f.unlabelled(t, eastA1, "change", "cache")
	}, func() map[string][]string {
		want := each(append(removal("change", "web", false), "delete destinationrules change/cache", "delete destinationrules change/store",
			"delete services change/cache", "patch services change/store", "delete networkpolicies change/store.proxied")...)
		for _, c := range west {
			want[c] = append(want[c], "delete "+toCache[c], "delete "+toStore[c])
		}
		want[eastA1] = []string{"patch services change/cache", "delete networkpolicies change/cache.proxied", ungated}
		return want
	})

	change("deletion of the last in a cluster", func(t *testing.T) {
		f.deleteApp(t, "change", "store")
		f.gone(t, "change", "store", allClusters...)
		for _, c := range []string{westA1, westA2} {
			await(t, "the namespace is deleted from "+c, func(ctx context.Context) error {
				ns, err := f.clusters[c].get(ctx, namespaces, "", "change")
				if apierrors.IsNotFound(err) || err == nil && ns.GetDeletionTimestamp() != nil {
					return nil
				}
				return cmpErr(err, "it is there")
			})
		}
	}, func() map[string][]string { return each(removal("change", "store", true)...) })
	f.ready(t, "change", "cache")
}

// ungating is the write that takes an application's host out of its Gateway: that is deleted with the last.
func (f *federation) ungating(t *testing.T, cluster, application string) string {
	t.Helper()
	name := gatewayOf(application)
	g, err := f.clusters[cluster].get(t.Context(), gateways, "istio-system", name)
	if err != nil {
		t.Fatal(err)
	}
	servers, _, _ := unstructured.NestedSlice(g.Object, "spec", "servers")
	server, _ := servers[0].(map[string]any)
	if hosts, _ := server["hosts"].([]any); len(hosts) == 1 {
		return "delete gateways istio-system/" + name
	}
	return "patch gateways istio-system/" + name
}

// unlabelled waits until an application's Service no longer asks the agent to tell what is ready behind it.
func (f *federation) unlabelled(t *testing.T, cluster, namespace, name string) {
	t.Helper()
	await(t, namespace+"/"+name+" is called by nobody in "+cluster, func(ctx context.Context) error {
		o, err := f.clusters[cluster].get(ctx, services, namespace, name)
		if err != nil {
			return err
		}
		return wrong("label", o.GetLabels()[object.LabelLocate], "")
	})
}

// eachDeployment waits until check is content with an application's Deployment in each of the clusters.
func (f *federation) eachDeployment(t *testing.T, name string, in []string, check func(*unstructured.Unstructured) error) {
	t.Helper()
	for _, c := range in {
		await(t, "the Deployment in "+c+" is as wanted", func(ctx context.Context) error {
			d, err := f.clusters[c].get(ctx, deployments, "change", name)
			if err != nil {
				return err
			}
			return check(d)
		})
	}
}
