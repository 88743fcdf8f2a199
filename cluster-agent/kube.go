package clusteragent

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/buildinfo"
	"github.com/meridian-federation/meridian/internal/object"
)

// requestWithin bounds one request that is not a watch.
const requestWithin = 30 * time.Second

// kube is the API server as the agent uses it: as little of an object as the purpose allows.
type kube struct {
	meta       metadata.Interface
	apps       *appsv1.AppsV1Client
	leases     *coordinationv1.CoordinationV1Client
	endpoints  *discoveryv1.DiscoveryV1Client
	core       *corev1.CoreV1Client
	networking *networkingv1.NetworkingV1Client
	discovery  *discovery.DiscoveryClient
	kinds      map[schema.GroupVersionKind]object.Managed
}

// newKube shares one connection pool. The agent bounds its requests by its workers, so client-go's rate limit is off.
func newKube(cfg *rest.Config) (*kube, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.UserAgent = "meridian-agent/" + buildinfo.Read().Version
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("configuring the API server's client: %w", err)
	}
	k := &kube{kinds: map[schema.GroupVersionKind]object.Managed{}}
	for _, m := range object.Kinds() {
		k.kinds[m.GroupVersionKind] = m
	}
	proto := metadata.ConfigFor(cfg) // also asks for protobuf where there is a choice
	if k.meta, err = metadata.NewForConfigAndClient(proto, client); err != nil {
		return nil, fmt.Errorf("configuring the metadata client: %w", err)
	}
	if k.apps, err = appsv1.NewForConfigAndClient(protobuf(cfg), client); err != nil {
		return nil, fmt.Errorf("configuring the client of apps: %w", err)
	}
	if k.leases, err = coordinationv1.NewForConfigAndClient(protobuf(cfg), client); err != nil {
		return nil, fmt.Errorf("configuring the client of leases: %w", err)
	}
	if k.endpoints, err = discoveryv1.NewForConfigAndClient(protobuf(cfg), client); err != nil {
		return nil, fmt.Errorf("configuring the client of endpoint slices: %w", err)
	}
	if k.core, err = corev1.NewForConfigAndClient(protobuf(cfg), client); err != nil {
		return nil, fmt.Errorf("configuring the client of nodes: %w", err)
	}
	if k.networking, err = networkingv1.NewForConfigAndClient(protobuf(cfg), client); err != nil {
		return nil, fmt.Errorf("configuring the client of service ranges: %w", err)
	}
	if k.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(cfg, client); err != nil {
		return nil, fmt.Errorf("configuring the discovery client: %w", err)
	}
	return k, nil
}

func protobuf(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return cfg
}

// at is where the objects of a kind in a namespace are; kinds that agents do not manage are refused.
func (k *kube) at(id object.ID) (metadata.ResourceInterface, error) {
	m, ok := k.kinds[id.GVK()]
	switch {
	case !ok:
		return nil, refuse(reasonKind, "agents of this release do not manage %s of %s", id.Kind, id.GVK().GroupVersion())
	case m.Namespaced != (id.Namespace != ""):
		return nil, refuse(reasonManifest, "%s is namespaced: %t; its namespace is %q", id.Kind, m.Namespaced, id.Namespace)
	case m.Namespaced:
		return k.meta.Resource(m.GVR()).Namespace(id.Namespace), nil
	default:
		return k.meta.Resource(m.GVR()), nil
	}
}

// get looks at one object.
func (k *kube) get(ctx context.Context, id object.ID) (*sighting, error) {
	at, err := k.at(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	obj, err := at.Get(ctx, id.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return look(id, obj), nil
}
