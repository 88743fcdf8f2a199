package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Cluster is a Kubernetes cluster that runs Applications. Its labels are what
// placement.clusters selects by. Deleting a Cluster takes it out of Meridian and
// leaves its workloads running.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mcluster,categories=meridian
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.zone`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the cluster's agent has a session with its zone."
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodes`
// +kubebuilder:printcolumn:name="Applications",type=integer,JSONPath=`.status.applications`,description="The Applications placed in the cluster."
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.kubernetesVersion`
// +kubebuilder:printcolumn:name="Network",type=string,priority=1,JSONPath=`.spec.network`
// +kubebuilder:printcolumn:name="Environments",type=string,priority=1,JSONPath=`.spec.environments`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Cluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the cluster belongs and what it is for.
	// +required
	Spec ClusterSpec `json:"spec"`

	// status is what Global knows of the cluster.
	// +optional
	Status ClusterStatus `json:"status,omitempty,omitzero"`
}

// ClusterSpec says where a cluster belongs and what it is for.
type ClusterSpec struct {
	// zone is the name of the Zone in which the cluster lies. It cannot be
	// changed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Cluster cannot move to another zone; delete it and create another"
	Zone string `json:"zone"`

	// environments are the names of the Environments whose Applications the
	// cluster may run, at least one and at most 32.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Environments []string `json:"environments"`

	// network is the name of the Network that the cluster's pods are on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network"`

	// taints keep out Applications that do not tolerate them. At most 32.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +kubebuilder:validation:MaxItems=32
	Taints []Taint `json:"taints,omitempty"`

	// addresses asks the cluster's zone for addresses, for as long as the Cluster
	// exists. They are shown in status.addresses.
	// +optional
	Addresses *ClusterAddresses `json:"addresses,omitempty"`

	// mesh describes the service mesh in the cluster. Default: Istio with
	// sidecars, its root namespace istio-system.
	// +optional
	// +kubebuilder:default={}
	Mesh Mesh `json:"mesh,omitempty,omitzero"`
}

// ClusterAddresses are what a cluster asks for; what is left out is not asked for.
type ClusterAddresses struct {
	// podRange is a prefix for the cluster's pods. Default of its pool: any of
	// purpose Pod for the cluster's network.
	// +optional
	PodRange *PodRangeRequest `json:"podRange,omitempty"`

	// eastWest is an address for the east-west gateway, and is the gateway's where
	// mesh.gateway lists none. Default of its pool: any of purpose LoadBalancer
	// for all clusters.
	// +optional
	EastWest *GatewayAddressRequest `json:"eastWest,omitempty"`

	// ingress is an address for the ingress gateway. Default of its pool: any of
	// purpose LoadBalancer for all clusters.
	// +optional
	Ingress *GatewayAddressRequest `json:"ingress,omitempty"`
}

// PodRangeRequest asks for a prefix.
type PodRangeRequest struct {
	// pool is the name of the IPPool to take it from.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool,omitempty"`

	// length of the prefix. Default: the pool's claimLength.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	Length *int32 `json:"length,omitempty"`
}

// GatewayAddressRequest asks for one address.
type GatewayAddressRequest struct {
	// pool is the name of the IPPool to take it from.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool,omitempty"`
}

// Dataplane is how pods take part in the mesh.
// +kubebuilder:validation:Enum=Sidecar;None
type Dataplane string

const (
	// DataplaneSidecar: Istio with a proxy in each pod.
	DataplaneSidecar Dataplane = "Sidecar"
	// DataplaneNone: no mesh; no Istio objects are written.
	DataplaneNone Dataplane = "None"
)

// Mesh describes the service mesh in a cluster.
type Mesh struct {
	// dataplane is Sidecar (Istio with a proxy in each pod) or None (no mesh: no
	// Istio objects are written to the cluster). Default Sidecar.
	// +optional
	// +kubebuilder:default=Sidecar
	Dataplane Dataplane `json:"dataplane,omitempty"`

	// platformHosts are services of the platform that every Application in the
	// cluster may call besides its own dependencies, each as namespace/host,
	// such as monitoring/collector.monitoring.svc.cluster.local. No wildcards:
	// each one is sent to every proxy. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	PlatformHosts []string `json:"platformHosts,omitempty"`

	// defaultSidecar has Meridian keep a Sidecar for the whole mesh in the root
	// namespace, so that pods which Meridian does not manage see only their own
	// namespace and the platform hosts. Default true.
	// +optional
	// +kubebuilder:default=true
	DefaultSidecar *bool `json:"defaultSidecar,omitempty"`

	// rootNamespace is Istio's root namespace. Default istio-system.
	// +optional
	// +kubebuilder:default=istio-system
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	RootNamespace string `json:"rootNamespace,omitempty"`

	// primary is the name of the Cluster, in the same zone, whose istiod
	// configures this one's proxies and watches its endpoints (Istio's
	// primary-remote). Istio's objects are then written there and not here.
	// The network must be the primary's, and a gateway, which the primary must
	// have too, be of its namespace and selector. Default: the cluster itself.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Primary string `json:"primary,omitempty"`

	// gateway is the cluster's east-west gateway, at which clusters on other
	// networks reach its Applications. Without it they cannot, and consumers
	// there say so.
	// +optional
	Gateway *EastWestGateway `json:"gateway,omitempty"`
}

// EastWestGateway is a gateway for calls from other networks. It listens at port
// 15443 for mutual TLS that it passes through. Its proxy runs with
// ISTIO_META_REQUESTED_NETWORK_VIEW set to the cluster's network.
type EastWestGateway struct {
	// addresses are the IP addresses at which other networks reach the gateway.
	// At most 8. Default: the one that spec.addresses.eastWest asks for; without
	// either nobody reaches it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="self.all(a, isIP(a))",message="each address is an IPv4 or IPv6 address"
	Addresses []string `json:"addresses,omitempty"`

	// namespace in which the gateway's pods run. Default istio-system.
	// +optional
	// +kubebuilder:default=istio-system
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// selector are labels of the gateway's pods. Default: istio: eastwestgateway.
	// +optional
	// +kubebuilder:default={istio: eastwestgateway}
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=8
	Selector map[string]string `json:"selector,omitempty"`
}

// ClusterStatus is what Global knows of a cluster.
type ClusterStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted (its Zone, Network and Environments exist), Ready
	// (its agent has a session with the zone), RangesDisjoint (no cluster of its
	// network that comes before it has pods of the same addresses) and
	// ServiceRangesDisjoint (its Services have no addresses of IPPools or of its
	// network's pods).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// nodes is the number of the cluster's nodes, as its agent last reported.
	// +optional
	Nodes int32 `json:"nodes"`

	// kubernetesVersion is the version of the cluster's API server, such as
	// v1.36.3.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`

	// applications is the number of Applications placed in the cluster.
	// +optional
	Applications int32 `json:"applications"`

	// addresses are what spec.addresses asks for.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=3
	Addresses []ClusterAddress `json:"addresses,omitempty"`
}

// ClusterAddress is one thing that a cluster asked for.
type ClusterAddress struct {
	// name is podRange, eastWest or ingress.
	// +required
	Name string `json:"name"`

	// prefix that the cluster has, such as 10.1.2.3/32; absent while it has none.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// pool from which it was taken.
	// +optional
	Pool string `json:"pool,omitempty"`

	// reason says in one word why the cluster has none.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message says it in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ClusterList is a list of Clusters.
//
// +kubebuilder:object:root=true
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Cluster `json:"items"`
}
