package clusteragent

import (
	"context"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/meridian-federation/meridian/internal/object"
)

// managedSelector bounds every watch of managed objects.
const managedSelector = object.LabelManaged + "=" + object.ManagedValue

// managed is the source of the objects of one kind: their metadata, but for Deployments, whose counts are reported.
func (k *kube) managed(kind object.Managed) source {
	s := k.metadata(kind.GVR(), managedSelector)
	if kind.Group == appsv1.GroupName && kind.Kind == "Deployment" {
		deployments := k.apps.Deployments(metav1.NamespaceAll)
		s.list = func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return deployments.List(ctx, opts)
		}
		s.watch = func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return deployments.Watch(ctx, opts)
		}
	}
	return s
}

// metadata is the source of the metadata of one resource.
func (k *kube) metadata(gvr schema.GroupVersionResource, selector string) source {
	all := k.meta.Resource(gvr)
	return source{
		name:     gvr.GroupResource().String(),
		selector: selector,
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return all.List(ctx, opts)
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, opts)
		},
	}
}

// managedSink brings what is seen of one kind to the desk, and Deployments to the workloads as well.
type managedSink struct {
	kind      object.Managed
	desk      *desk
	workloads *workloads
	// first is called after the first list.
	first sync.Once
	ready func()

	// in are the objects of the list that is being read.
	in map[object.ID]struct{}
}

func (s *managedSink) id(obj metav1.Object) object.ID {
	return object.ID{Group: s.kind.Group, Version: s.kind.Version, Kind: s.kind.Kind,
		Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

func (s *managedSink) listing() { s.in = map[object.ID]struct{}{} }

func (s *managedSink) see(obj metav1.Object) {
	id := s.id(obj)
	if s.in != nil {
		s.in[id] = struct{}{}
	}
	seen := look(id, obj)
	if d, ok := obj.(*appsv1.Deployment); ok && seen.self {
		s.workloads.see(id, d, seen.version)
	}
	s.desk.see(id, seen)
}

func (s *managedSink) vanish(obj metav1.Object) {
	id := s.id(obj)
	s.desk.vanish(id, obj.GetResourceVersion())
	s.workloads.vanish(id)
}

func (s *managedSink) listed(resourceVersion string, missing bool) {
	if !missing {
		for _, id := range s.desk.listed(s.kind, resourceVersion, s.in) {
			s.workloads.vanish(id)
		}
	}
	s.in = nil
	s.first.Do(s.ready)
}
