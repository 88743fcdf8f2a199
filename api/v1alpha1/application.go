package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Application is one program to be run in many clusters: its pods, the ports it
// is called at, where it may run, and what it calls. Meridian chooses zones and
// clusters, and brings each of them a Deployment, a Service, a ServiceAccount
// and mesh configuration of the same namespace and name. The namespace's labels
// meridian.dev/tenant and meridian.dev/environment say whose it is and to which
// environment it belongs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mapp,categories=meridian
// +kubebuilder:printcolumn:name="Converged",type=string,JSONPath=`.status.conditions[?(@.type=="Converged")].status`,description="Whether every cluster concerned has applied the current revision."
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.summary`,description="Ready replicas of those desired, over all clusters."
// +kubebuilder:printcolumn:name="Zones",type=integer,JSONPath=`.status.zoneCount`,description="The number of zones in which it runs."
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.status.address`,description="The address that it asked for."
// +kubebuilder:printcolumn:name="Clusters",type=integer,priority=1,JSONPath=`.status.clusters`,description="The number of clusters in which it runs."
// +kubebuilder:printcolumn:name="Mode",type=string,priority=1,JSONPath=`.spec.placement.mode`,description="How the replicas are dealt to clusters."
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.revision`,description="The revision that Global last accepted."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,description="What a person should look at first; empty when nothing is wrong."
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be a DNS-1035 label (lower-case letters, digits and '-', beginning with a letter) of at most 40 characters"
type Application struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec ApplicationSpec `json:"spec"`

	// status is what Meridian has made of it. Only Meridian writes it, at most
	// once a second for one Application.
	// +optional
	Status ApplicationStatus `json:"status,omitempty,omitzero"`
}

// ApplicationSpec is what is asked for.
type ApplicationSpec struct {
	// template is the pod to run, as in a Deployment: labels, annotations and a
	// pod specification. Meridian adds the labels by which it selects the pods
	// and the service account of the Application's name; a serviceAccountName
	// given here is refused unless it is that name.
	// +required
	Template corev1.PodTemplateSpec `json:"template"`

	// replicas is how many pods to run; placement.mode says of what. Divided: in
	// total, over all clusters chosen. Duplicated: in each cluster. Singleton:
	// in total, all in one cluster. Default 1; 0 keeps everything but the pods.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Replicas *int32 `json:"replicas,omitempty"`

	// ports are the ports at which other Applications call this one. With none
	// it gets no Service and nothing can depend on it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol))",message="two ports have the same number and protocol"
	Ports []Port `json:"ports,omitempty"`

	// resources are further objects, as whole manifests, that go to every
	// cluster where the Application runs, into its namespace: ConfigMaps and
	// other kinds that Global allows. What they refer to is the Application's own:
	// its account in a CronJob, its Deployment in an autoscaler, its pods (by the
	// label meridian.dev/application) in a PodDisruptionBudget. One object belongs
	// to one Application only. At most 64.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XEmbeddedResource
	// +kubebuilder:validation:items:XPreserveUnknownFields
	// +kubebuilder:validation:XValidation:rule="self.all(r, has(r.metadata) && has(r.metadata.name) && size(r.metadata.name) > 0)",message="each resource needs apiVersion, kind and metadata.name"
	Resources []runtime.RawExtension `json:"resources,omitempty"`

	// placement says where the Application may run and how its replicas are
	// dealt out. A cluster is eligible if it serves the Application's
	// environment, the selectors match it, its zone and its region, and its
	// taints are tolerated. Selectors see the labels of the Cluster, Zone or
	// Region and, besides, the label meridian.dev/name with the object's name as
	// value: regions: {matchLabels: {meridian.dev/name: west}} selects the region
	// west. Default: divided over every cluster of the environment that has no
	// taints.
	// +optional
	// +kubebuilder:default={}
	Placement Placement `json:"placement,omitempty,omitzero"`

	// dependsOn lists what the Application calls. Its pods are told about these
	// and nothing else, so a call to anything that is not listed here fails.
	// The order has no meaning, and cycles are allowed. At most 256.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	DependsOn []Dependency `json:"dependsOn,omitempty"`

	// address asks for an address of the Application's own, the same for all
	// clusters, for as long as the Application exists. Default: none.
	// +optional
	Address *AddressRequest `json:"address,omitempty"`

	// adopt lets Meridian take over objects of the Application's that exist in a
	// cluster already and are not Meridian's. By default such an object is left
	// alone and reported as a problem, and no pods are run in a namespace, or as
	// an account, that is not Meridian's: with adopt they have the rights and the
	// Secrets that were given to these before.
	// +optional
	Adopt bool `json:"adopt,omitempty"`
}

// AddressRequest asks for an address.
//
// +kubebuilder:validation:XValidation:rule="!has(self.pool) || !has(self.family)",message="address.family goes without address.pool; a pool has its own"
type AddressRequest struct {
	// pool is the name of the IPPool to take it from. Default: any pool of purpose
	// Service that is for all clusters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool,omitempty"`

	// family of the pool. Default IPv4.
	// +optional
	Family IPFamily `json:"family,omitempty"`
}

// Port is one port at which an Application is called.
//
// +kubebuilder:validation:XValidation:rule="self.protocol == 'TCP' || !has(self.appProtocol)",message="appProtocol goes with protocol TCP only"
type Port struct {
	// name of the port, unique in the Application: a DNS label of at most 15
	// characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// port is the number at which the Service is called.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// targetPort is the number at which the pods listen. Default: port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	TargetPort int32 `json:"targetPort,omitempty"`

	// protocol is the transport, TCP or UDP. Default TCP.
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP
	Protocol corev1.Protocol `json:"protocol,omitempty"`

	// appProtocol is what is spoken on the connection. Requests can be routed,
	// retried and counted one by one only where the mesh knows that they are
	// http, http2, grpc or grpc-web. Without it the mesh looks at the first
	// bytes of each connection and takes what is not HTTP as plain tcp.
	// +optional
	// +kubebuilder:validation:Enum=http;http2;grpc;grpc-web;https;tls;tcp;mongo;mysql;redis
	AppProtocol string `json:"appProtocol,omitempty"`
}

// DependencyKind is the kind of thing that can be depended on.
// +kubebuilder:validation:Enum=Application;ExternalService
type DependencyKind string

const (
	// DependencyApplication is a dependency on another Application.
	DependencyApplication DependencyKind = "Application"
	// DependencyExternalService is a dependency on what is outside the mesh.
	DependencyExternalService DependencyKind = "ExternalService"
)

// Dependency names one thing that an Application calls.
type Dependency struct {
	// kind of what is called, Application or ExternalService. Default Application.
	// +optional
	Kind DependencyKind `json:"kind,omitempty"`

	// namespace of what is called. Default: the Application's own. A dependency
	// that no AccessPolicy of that namespace allows, or that is no consumer of the
	// ExternalService, is denied, and reported in the condition
	// DependenciesResolved.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// name of what is called.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
}

// ApplicationList is a list of Applications.
//
// +kubebuilder:object:root=true
type ApplicationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Application `json:"items"`
}
