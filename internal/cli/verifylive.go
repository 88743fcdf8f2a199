package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/verify"
)

// liveCluster is a cluster as its administrator sees it.
type liveCluster struct {
	name   string
	client dynamic.Interface
}

func dialCluster(name, kubeconfig string) (*liveCluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s: %w", name, err)
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %s: %w", name, err)
	}
	return &liveCluster{name, client}, nil
}

// list gives all objects of a kind; none where the cluster does not serve it.
func (l *liveCluster) list(ctx context.Context, kind schema.GroupVersionResource, labels string) ([]*unstructured.Unstructured, bool, error) {
	found, err := l.client.Resource(kind).List(ctx, metav1.ListOptions{LabelSelector: labels})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("listing %s: %w", kind.Resource, err)
	}
	out := make([]*unstructured.Unstructured, len(found.Items))
	for i := range found.Items {
		out[i] = &found.Items[i]
	}
	return out, true, nil
}

// live examines what a cluster has, beyond what is compiled for it: what others wrote counts too.
func (v *verification) live(ctx context.Context, l *liveCluster) error {
	i := slices.IndexFunc(v.inventoried, func(c v1alpha1.Cluster) bool { return c.Name == l.name })
	if i < 0 {
		return errors.New("the inventory does not have it")
	}
	given, err := l.agent(ctx)
	if err != nil {
		return err
	}
	v.report.Agent(given)
	c := v.inventoried[i]
	if c.Spec.Mesh.Dataplane == v1alpha1.DataplaneNone || c.Spec.Mesh.Primary != "" && c.Spec.Mesh.Primary != c.Name {
		return nil
	}
	return v.liveMesh(ctx, l, c)
}

func (v *verification) liveMesh(ctx context.Context, l *liveCluster, c v1alpha1.Cluster) error {
	var objects []*unstructured.Unstructured
	for _, kind := range []schema.GroupVersionResource{
		{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"},
		{Group: "security.istio.io", Version: "v1", Resource: "authorizationpolicies"},
		{Group: "networking.istio.io", Version: "v1", Resource: "sidecars"},
	} {
		found, served, err := l.list(ctx, kind, "")
		if err != nil {
			return err
		}
		if !served {
			v.report.Skip(verify.CheckStrict, l.name+" (live)", "it has no "+kind.Resource+"."+kind.Group+": is Istio installed there?")
			return nil
		}
		objects = append(objects, found...)
	}
	var namespaces []string
	for _, kind := range []schema.GroupVersionResource{
		{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "statefulsets"},
		{Group: "apps", Version: "v1", Resource: "daemonsets"}, {Group: "batch", Version: "v1", Resource: "cronjobs"},
		{Group: "batch", Version: "v1", Resource: "jobs"},
	} {
		found, _, err := l.list(ctx, kind, object.LabelManaged)
		if err != nil {
			return err
		}
		for _, o := range found {
			namespaces = append(namespaces, o.GetNamespace())
		}
	}
	slices.Sort(namespaces)
	v.report.Mesh(meshOf(c, "live", objects, slices.Compact(namespaces)))
	return nil
}
