package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

	// each tells which writes are wanted of the agents of west-a-1 and west-a-2.
	each := func(lines ...string) map[string][]string {
		return map[string][]string{westA1: lines, westA2: lines}
	}
	change := func(name string, do func(t *testing.T), want map[string][]string) {
		if !t.Run(name, func(t *testing.T) {
			since := f.mark(t)
			do(t)
			f.wrote(t, since, want)
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
	}, each("patch deployments change/web"))

	change("replicas", func(t *testing.T) {
		web.replicas = 6
		f.submit(t, web.manifest())
		f.ready(t, "change", "web")
		f.eachDeployment(t, "web", []string{westA1, westA2}, func(d *unstructured.Unstructured) error {
			ready, _, _ := unstructured.NestedInt64(d.Object, "status", "readyReplicas")
			return wrong("ready replicas", ready, 3)
		})
	}, each("patch deployments change/web"))

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
	}, each("patch sidecars change/web"))

	change("the same again", func(t *testing.T) {
		f.submit(t, web.manifest())
		f.ready(t, "change", "web")
	}, nil)

	change("deletion", func(t *testing.T) {
		f.deleteApp(t, "change", "web")
		f.gone(t, "change", "web", allClusters...)
	}, each("delete deployments change/web", "delete sidecars change/web", "delete services change/web",
		"delete serviceaccounts change/web"))

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
	}, each("delete deployments change/store", "delete sidecars change/store", "delete services change/store",
		"delete serviceaccounts change/store", "delete namespaces change/change"))
	f.ready(t, "change", "cache")
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
