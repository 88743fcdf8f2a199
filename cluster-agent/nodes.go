package clusteragent

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

var namespaceResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// allNodes is the source of the cluster's nodes.
func (k *kube) allNodes() source {
	all := k.core.Nodes()
	return source{
		name: "nodes",
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return all.List(ctx, opts)
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, opts)
		},
	}
}

// nodes is the sink that counts nodes, and finds the ranges of their pods.
type nodes struct {
	log    *slog.Logger
	health *health
	// version asks the API server for its own; it may have changed when nodes have to be listed again.
	version func() (string, error)

	ranges     map[string][]netip.Prefix // of pods, by node
	quiet      bool                      // while listing
	kubernetes string
}

func (n *nodes) listing() {
	n.ranges, n.quiet = map[string][]netip.Prefix{}, true
}

// see takes a node. Most changes of nodes are their heartbeats, of which nothing follows.
func (n *nodes) see(obj metav1.Object) {
	var ranges []netip.Prefix
	if node, ok := obj.(*corev1.Node); ok {
		ranges = parse(node.Spec.PodCIDRs)
	}
	before, known := n.ranges[obj.GetName()]
	if known && slices.Equal(before, ranges) {
		return
	}
	n.ranges[obj.GetName()] = ranges
	n.publish()
}

func (n *nodes) vanish(obj metav1.Object) {
	delete(n.ranges, obj.GetName())
	n.publish()
}

func (n *nodes) listed(string, bool) {
	n.quiet = false
	version, err := n.version()
	if err != nil {
		n.log.Warn("asking for the version of the API server", "error", err)
	} else {
		n.kubernetes = version
	}
	n.publish()
}

func (n *nodes) publish() {
	if !n.quiet {
		pods := slices.Concat(slices.Collect(maps.Values(n.ranges))...)
		n.health.nodes(len(n.ranges), texts(cover(pods)), n.kubernetes)
	}
}

// serverVersion asks for the API server's version.
func (k *kube) serverVersion() (string, error) {
	v, err := k.discovery.ServerVersion()
	if err != nil {
		return "", err
	}
	return v.GitVersion, nil
}
