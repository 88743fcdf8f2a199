package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
)

// TestDriftIsPutBack deletes and edits managed objects in one cluster.
func TestDriftIsPutBack(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "drift")
	f.submit(t, appSpec{namespace: "drift", name: "web", replicas: 2, clusters: only(westB1), extra: settings("drift-settings")}.manifest())
	f.ready(t, "drift", "web")
	c := f.clusters[westB1]

	for _, o := range []struct {
		resource schema.GroupVersionResource
		name     string
		edit     string
		field    []string
		want     any
	}{
		{deployments, "web", `{"spec":{"replicas":7}}`, []string{"spec", "replicas"}, int64(2)},
		{services, "web", `{"metadata":{"labels":{"meridian.dev/managed-by":null}}}`, []string{"metadata", "labels", object.LabelManaged}, object.ManagedValue},
		{services, "web", `{"spec":{"selector":{"meridian.dev/application":"other"}}}`, []string{"spec", "selector", object.LabelApplication}, "web"},
		{sidecars, "web", `{"spec":{"outboundTrafficPolicy":{"mode":"ALLOW_ANY"},"egress":[{"hosts":["*/*"]}]}}`, []string{"spec", "outboundTrafficPolicy", "mode"}, "REGISTRY_ONLY"},
		{configMaps, "drift-settings", `{"data":{"colour":"green"}}`, []string{"data", "colour"}, "red"},
	} {
		what := fmt.Sprintf("%s %s", o.resource.Resource, o.name)
		t.Run(what+" edited "+strings.Join(o.field, "."), func(t *testing.T) {
			before, err := c.get(t.Context(), o.resource, "drift", o.name)
			if err != nil {
				t.Fatal(err)
			}
			c.patch(t, o.resource, "drift", o.name, o.edit)
			await(t, what+" is as it was", func(ctx context.Context) error {
				got, err := c.get(ctx, o.resource, "drift", o.name)
				if err != nil {
					return err
				}
				if got.GetResourceVersion() == before.GetResourceVersion() {
					return errors.New("it has not been edited")
				}
				value, _, _ := unstructured.NestedFieldNoCopy(got.Object, o.field...)
				return wrong(strings.Join(o.field, "."), value, o.want)
			})
		})
	}
	await(t, "the Sidecar's hosts are as they were", func(ctx context.Context) error {
		got, err := f.hosts(ctx, westB1, "drift", "web")
		if err != nil {
			return err
		}
		return wrong("hosts", strings.Join(got, " "), strings.Join(hostsOf("drift", "web"), " "))
	})
	for _, o := range []struct {
		resource schema.GroupVersionResource
		name     string
	}{{deployments, "web"}, {services, "web"}, {sidecars, "web"}, {configMaps, "drift-settings"}} {
		t.Run(o.resource.Resource+" deleted", func(t *testing.T) { c.comesBack(t, o.resource, "drift", o.name) })
	}
	f.ready(t, "drift", "web")
}

// settings is a ConfigMap that goes along with an application.
func settings(name string) string {
	return "resources:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: " + name + "}\n  data: {colour: red}\n"
}

// TestStrangersAreLeftAlone has objects of a person's beside an application: plain ones, and one with copies of all the
// labels and annotations of a managed object.
func TestStrangersAreLeftAlone(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "stranger")
	f.submit(t, appSpec{namespace: "stranger", name: "web", clusters: only(westB1), extra: settings("ours")}.manifest())
	f.ready(t, "stranger", "web")
	c := f.clusters[westB1]

	ours, err := c.get(t.Context(), configMaps, "stranger", "ours")
	if err != nil {
		t.Fatal(err)
	}
	copied := configMap("stranger", "copied")
	copied.SetLabels(ours.GetLabels())
	copied.SetAnnotations(ours.GetAnnotations())
	uids := map[string]types.UID{}
	versions := map[string]string{}
	since := f.mark(t)
	for _, o := range []*unstructured.Unstructured{copied, configMap("stranger", "plain")} {
		c.create(t, configMaps, "stranger", o)
		made, err := c.get(t.Context(), configMaps, "stranger", o.GetName())
		if err != nil {
			t.Fatal(err)
		}
		uids[o.GetName()], versions[o.GetName()] = made.GetUID(), made.GetResourceVersion()
	}
	f.wroteNothing(t, since)

	f.deleteApp(t, "stranger", "web")
	f.gone(t, "stranger", "web", westB1)
	await(t, "the application's objects are gone", func(ctx context.Context) error {
		_, err := c.get(ctx, configMaps, "stranger", "ours")
		if !apierrors.IsNotFound(err) {
			return cmpErr(err, "ConfigMap ours is there")
		}
		return nil
	})
	f.beat(t)
	for name, uid := range uids {
		got, err := c.get(t.Context(), configMaps, "stranger", name)
		if err != nil || got.GetUID() != uid || got.GetResourceVersion() != versions[name] {
			t.Errorf("ConfigMap %s was touched: got %v, %v", name, got, err)
		}
	}
	if ns, err := c.get(t.Context(), namespaces, "", "stranger"); err != nil || ns.GetDeletionTimestamp() != nil {
		t.Errorf("the namespace holds a person's objects and should stand: got %v, %v", ns, err)
	}
}

// TestObjectThatExistsIsARejection puts an object in the way of an application.
func TestObjectThatExistsIsARejection(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "rejected")
	c := f.clusters[westA1]
	f.submit(t, appSpec{namespace: "rejected", name: "first", clusters: only(westA1)}.manifest())
	f.ready(t, "rejected", "first")
	c.create(t, configMaps, "rejected", configMap("rejected", "in-the-way"))

	f.submit(t, appSpec{namespace: "rejected", name: "web", mode: "Duplicated", clusters: only(westA1, westA2), extra: settings("in-the-way")}.manifest())
	await(t, "the hub shows the rejection", func(ctx context.Context) error {
		app, err := f.app(ctx, "rejected", "web")
		if err != nil {
			return err
		}
		for _, p := range app.Status.Problems {
			if p.Cluster == westA1 && p.Reason == v1alpha1.ReasonObjectExists && strings.Contains(p.Object, "in-the-way") {
				return nil
			}
		}
		return fmt.Errorf("problems are %+v", app.Status.Problems)
	})
	said := f.meridian(t, "get", "application", "web", "-n", "rejected")
	for _, want := range []string{"False", westA1, "in-the-way"} {
		if !strings.Contains(said, want) {
			t.Errorf("`meridian get` does not say %q:\n%s", want, said)
		}
	}
	if got, err := c.get(t.Context(), configMaps, "rejected", "in-the-way"); err != nil || len(got.GetLabels()) > 0 {
		t.Errorf("the object in the way was touched: got %v, %v", got, err)
	}
	await(t, "the other cluster is served", func(ctx context.Context) error {
		_, err := f.clusters[westA2].get(ctx, deployments, "rejected", "web")
		return err
	})
	c.delete(t, configMaps, "rejected", "in-the-way")
	f.ready(t, "rejected", "web")
}

// configMap is one of a person's.
func configMap(namespace, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": namespace}, "data": map[string]any{"of": "a person"}}}
}
