package clusteragent

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// serviceCIDRs is the source of the ranges of the cluster's Services (KEP-1880). API servers before Kubernetes 1.33 serve
// none.
func (k *kube) serviceCIDRs() source {
	all := k.networking.ServiceCIDRs()
	return source{
		name: "servicecidrs.networking.k8s.io",
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return all.List(ctx, opts)
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, opts)
		},
	}
}

// services is the sink that finds the ranges of Services.
type services struct {
	health *health

	ranges map[string][]netip.Prefix // by ServiceCIDR
	quiet  bool                      // while listing
}

func (s *services) listing() {
	s.ranges, s.quiet = map[string][]netip.Prefix{}, true
}

func (s *services) see(obj metav1.Object) {
	if c, ok := obj.(*networkingv1.ServiceCIDR); ok {
		s.ranges[c.Name] = parse(c.Spec.CIDRs)
		s.publish()
	}
}

func (s *services) vanish(obj metav1.Object) {
	delete(s.ranges, obj.GetName())
	s.publish()
}

func (s *services) listed(string, bool) {
	s.quiet = false
	s.publish()
}

func (s *services) publish() {
	if !s.quiet {
		s.health.services(texts(cover(slices.Concat(slices.Collect(maps.Values(s.ranges))...))))
	}
}
