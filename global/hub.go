package global

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	corev1 "k8s.io/api/core/v1"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// systemNamespace holds Meridian's own objects, at the hub and in clusters.
const systemNamespace = "meridian-system"

// client talks to the hub's API server, the one that holds the resources.
type client struct {
	core corev1client.CoreV1Interface
	rest rest.Interface
}

func newClient(cfg *rest.Config) (*client, error) {
	core, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the hub's core client: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering meridian.dev types: %w", err)
	}
	own := rest.CopyConfig(cfg)
	own.GroupVersion = &v1alpha1.GroupVersion
	own.APIPath = "/apis"
	own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	r, err := rest.RESTClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("making the hub's client for %s: %w", v1alpha1.GroupVersion, err)
	}
	return &client{core: core, rest: r}, nil
}

// uid is the identity of the API server: the UID of its kube-system namespace.
func (c *client) uid(ctx context.Context) (string, error) {
	ns, err := c.core.Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading the hub's identity: %w", err)
	}
	return string(ns.UID), nil
}

// lister is what one kind's typed client does.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// kind is one watched kind: its objects by key, kept current by run.
type kind[T runtime.Object] struct {
	store      cache.Store
	controller cache.Controller
}

// listable is a Kubernetes object that can be listed by gentype.
type listable interface {
	runtime.Object
	metav1.Object
}

// resource watches one kind of ours.
func resource[T listable, L runtime.Object](c *client, plural string, newObject func() T, newList func() L,
	who *hubIdentity, handler cache.ResourceEventHandler) *kind[T] {
	all := gentype.NewClientWithList[T, L](plural, c.rest, metav1.ParameterCodec, "", newObject, newList)
	return watched[T, L](all, newObject(), who, lean, handler)
}

// namespaces watches Namespaces, of which only name and labels are kept.
func namespaces(c *client, who *hubIdentity, handler cache.ResourceEventHandler) *kind[*corev1.Namespace] {
	strip := func(obj any) (any, error) {
		ns, ok := obj.(*corev1.Namespace)
		if !ok {
			return obj, nil
		}
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.Name, UID: ns.UID, Labels: ns.Labels,
			ResourceVersion: ns.ResourceVersion}}, nil
	}
	return watched[*corev1.Namespace, *corev1.NamespaceList](c.core.Namespaces(), &corev1.Namespace{}, who, strip, handler)
}

// lean drops what nothing here reads: who set which field can be larger than the object.
func lean(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

// watched watches one kind. Every list and every watch waits for the hub's API server, and is looked at only if that was
// still the server afterwards, so that nothing comes in from another.
func watched[T runtime.Object, L runtime.Object](from lister[L], example T, who *hubIdentity,
	transform cache.TransformFunc, handler cache.ResourceEventHandler) *kind[T] {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			if err := who.await(ctx); err != nil {
				return nil, err
			}
			list, err := from.List(ctx, opts)
			if err != nil {
				return nil, err
			}
			return list, who.check(ctx)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			if err := who.await(ctx); err != nil {
				return nil, err
			}
			events, err := from.Watch(ctx, opts)
			if err != nil {
				return nil, err
			}
			if err := who.check(ctx); err != nil {
				events.Stop()
				return nil, err
			}
			return events, nil
		},
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{ListerWatcher: lw, ObjectType: example,
		Handler: handler, Transform: transform})
	return &kind[T]{store, controller}
}

// get returns the object under a key, NAME or NAMESPACE/NAME.
func (k *kind[T]) get(key string) (T, bool) {
	obj, ok, err := k.store.GetByKey(key)
	if err != nil || !ok {
		var none T
		return none, false
	}
	return obj.(T), true
}

func (k *kind[T]) all() []T {
	list := k.store.List()
	out := make([]T, len(list))
	for i, obj := range list {
		out[i] = obj.(T)
	}
	return out
}

func (k *kind[T]) len() int { return len(k.store.ListKeys()) }
