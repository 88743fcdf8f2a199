package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/localkube"
	"github.com/meridian-federation/meridian/internal/object"
)

// Resources that tests look at.
var (
	applications = schema.GroupVersionResource{Group: "meridian.dev", Version: "v1alpha1", Resource: "applications"}
	namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	services     = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	accounts     = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	sidecars     = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "sidecars"}
)

// cluster is one member's API server, seen as its administrator.
type cluster struct {
	kube      *localkube.Cluster
	objects   dynamic.Interface
	metadata  metadata.Interface
	resources []listable
}

// listable is a kind that can be listed.
type listable struct {
	resource schema.GroupVersionResource
	kind     string
}

func newCluster(kube *localkube.Cluster) (*cluster, error) {
	c := &cluster{kube: kube}
	cfg := kube.RESTConfig()
	cfg.WarningHandler = rest.NoWarnings{} // deprecated kinds are listed too
	var err error
	if c.objects, err = dynamic.NewForConfig(cfg); err != nil {
		return nil, err
	}
	if c.metadata, err = metadata.NewForConfig(cfg); err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	lists, err := disco.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && gv.Group != "events.k8s.io" {
				c.resources = append(c.resources, listable{gv.WithResource(r.Name), r.Kind})
			}
		}
	}
	return c, nil
}

// get reads an object.
func (c *cluster) get(ctx context.Context, r schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	return c.objects.Resource(r).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}

// patch changes an object as its administrator, by a merge patch.
func (c *cluster) patch(t *testing.T, r schema.GroupVersionResource, namespace, name, patch string) {
	t.Helper()
	_, err := c.objects.Resource(r).Namespace(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "a-person"})
	if err != nil {
		t.Fatalf("patching %s %s/%s in %s: %v", r.Resource, namespace, name, c.kube.Name(), err)
	}
}

// delete removes an object as its administrator.
func (c *cluster) delete(t *testing.T, r schema.GroupVersionResource, namespace, name string) {
	t.Helper()
	if err := c.objects.Resource(r).Namespace(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting %s %s/%s in %s: %v", r.Resource, namespace, name, c.kube.Name(), err)
	}
}

// comesBack deletes an object and waits until it is there again.
func (c *cluster) comesBack(t *testing.T, r schema.GroupVersionResource, namespace, name string) {
	t.Helper()
	before, err := c.get(t.Context(), r, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	c.delete(t, r, namespace, name)
	await(t, fmt.Sprintf("%s %s/%s is back in %s", r.Resource, namespace, name, c.kube.Name()), func(ctx context.Context) error {
		got, err := c.get(ctx, r, namespace, name)
		if err == nil && got.GetUID() == before.GetUID() {
			err = errors.New("it has not been deleted yet")
		}
		return err
	})
}

// create makes an object as its administrator. It is removed when the test ends, unless it is gone by then.
func (c *cluster) create(t *testing.T, r schema.GroupVersionResource, namespace string, o *unstructured.Unstructured) {
	t.Helper()
	if _, err := c.objects.Resource(r).Namespace(namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating %s in %s: %v", nameOf(o.GetKind(), o), c.kube.Name(), err)
	}
	t.Cleanup(func() {
		err := c.objects.Resource(r).Namespace(namespace).Delete(context.Background(), o.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("removing %s from %s: %v", nameOf(o.GetKind(), o), c.kube.Name(), err)
		}
	})
}

// standing is an object in a cluster.
type standing struct {
	name       string // as "Kind namespace/name"
	namespace  string
	uid        types.UID
	generation int64
	managed    bool
}

// all lists every object there is, in the namespaces given or in all, but events and what is being deleted.
func (c *cluster) all(ctx context.Context, in ...string) ([]standing, error) {
	var out []standing
	for _, l := range c.resources {
		list, err := c.metadata.Resource(l.resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing %s in %s: %w", l.resource.Resource, c.kube.Name(), err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if len(in) > 0 && !slices.Contains(in, o.Namespace) || o.DeletionTimestamp != nil || generated(l.kind, o) {
				continue
			}
			out = append(out, standing{nameOf(l.kind, o), o.Namespace, o.UID, o.Generation, isManaged(l, o)})
		}
	}
	return out, nil
}

// managed lists Meridian's objects.
func (c *cluster) managed(ctx context.Context) ([]standing, error) {
	all, err := c.all(ctx)
	return slices.DeleteFunc(all, func(s standing) bool { return !s.managed }), err
}

// isManaged tells whether an object bears all of Meridian's marks: the label, the annotation that names the object
// itself, and the field manager.
func isManaged(l listable, o *metav1.PartialObjectMetadata) bool {
	r := l.resource
	self := object.ID{Group: r.Group, Version: r.Version, Kind: l.kind, Namespace: o.Namespace, Name: o.Name}
	return o.Labels[object.LabelManaged] == object.ManagedValue && o.Annotations[object.AnnotationSelf] == self.String() &&
		slices.ContainsFunc(o.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Manager == object.FieldManager })
}

// generated tells whether Kubernetes' own controllers made the object.
func generated(kind string, o *metav1.PartialObjectMetadata) bool {
	return len(o.OwnerReferences) > 0 || kind == "Event" || kind == "Endpoints" ||
		kind == "ConfigMap" && o.Name == "kube-root-ca.crt" || kind == "ServiceAccount" && o.Name == "default"
}

func nameOf(kind string, o metav1.Object) string {
	if o.GetNamespace() == "" {
		return kind + " " + o.GetName()
	}
	return kind + " " + o.GetNamespace() + "/" + o.GetName()
}
