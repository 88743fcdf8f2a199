package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Network is a set of clusters whose pods reach each other directly. A Cluster
// is accepted only if the Network that it names exists.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mnet,categories=meridian
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether its clusters' pods have addresses of their own."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Network struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is known of the network.
	// +optional
	Spec NetworkSpec `json:"spec,omitempty,omitzero"`

	// status is what Global knows of the network.
	// +optional
	Status NetworkStatus `json:"status,omitempty,omitzero"`
}

// NetworkSpec says what is known of a network.
type NetworkSpec struct {
	// podRanges are CIDRs that hold the addresses of all pods on the network.
	// NetworkPolicies select pods of their own cluster only: calls from the
	// network's other clusters are let in from these ranges, and without them
	// they are kept out. Default: the ranges of the IPPools of purpose Pod for
	// this network. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r))",message="each range is a CIDR, such as 10.0.0.0/12"
	PodRanges []string `json:"podRanges,omitempty"`
}

// NetworkStatus is what Global knows of a network.
type NetworkStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted: no two of its clusters have pods of the same
	// addresses. Of two that do, one is not reached directly: the one that reports
	// what IPAM gave to another, else the one that reports what is outside of what
	// IPAM gave it or of the network's ranges, else the younger.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NetworkList is a list of Networks.
//
// +kubebuilder:object:root=true
type NetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Network `json:"items"`
}
