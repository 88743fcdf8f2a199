package object

import "k8s.io/apimachinery/pkg/runtime/schema"

// Managed is one kind of object that agents manage.
type Managed struct {
	schema.GroupVersionKind
	// Resource is the plural name in the kind's URL.
	Resource   string
	Namespaced bool
	// Carried says that an application may bring such objects in spec.resources.
	Carried bool
}

// GVR is the kind's group, version and resource.
func (m Managed) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: m.Group, Version: m.Version, Resource: m.Resource}
}

// Kinds lists every kind that the compiler writes or carries. The agent watches exactly these, and its role allows
// exactly these. Secrets are absent on purpose: they travel by reference alone.
func Kinds() []Managed {
	kind := func(group, version, kind, resource string, carried bool) Managed {
		return Managed{GroupVersionKind: schema.GroupVersionKind{Group: group, Version: version, Kind: kind},
			Resource: resource, Namespaced: true, Carried: carried}
	}
	namespace := kind("", "v1", "Namespace", "namespaces", false)
	namespace.Namespaced = false
	return []Managed{
		namespace,
		kind("", "v1", "ServiceAccount", "serviceaccounts", false),
		kind("", "v1", "ConfigMap", "configmaps", true),
		kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
		kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
		kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", false),
		kind("security.istio.io", "v1", "PeerAuthentication", "peerauthentications", false),
		kind("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies", false),
		kind("", "v1", "Service", "services", true),
		kind("networking.istio.io", "v1", "DestinationRule", "destinationrules", false),
		kind("networking.istio.io", "v1", "Gateway", "gateways", false),
		kind("networking.istio.io", "v1", "ServiceEntry", "serviceentries", false),
		kind("networking.istio.io", "v1", "Sidecar", "sidecars", false),
		kind("networking.istio.io", "v1", "WorkloadEntry", "workloadentries", false),
		kind("apps", "v1", "Deployment", "deployments", false),
		kind("batch", "v1", "CronJob", "cronjobs", true),
		kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
	}
}
