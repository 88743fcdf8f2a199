package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Zone is an availability zone: a set of clusters under one control plane, which
// shares nothing with any other zone. Its labels are what placement.zones
// selects by.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mzone,categories=meridian
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the zone has a session with its region."
// +kubebuilder:printcolumn:name="Clusters",type=integer,JSONPath=`.status.clusters`,description="The clusters in the zone."
// +kubebuilder:printcolumn:name="Connected",type=integer,JSONPath=`.status.connected`,description="The clusters whose agents have a session with the zone."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Zone struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the zone belongs.
	// +required
	Spec ZoneSpec `json:"spec"`

	// status is what Global knows of the zone.
	// +optional
	Status ZoneStatus `json:"status,omitempty,omitzero"`
}

// ZoneSpec says where a zone belongs.
type ZoneSpec struct {
	// region is the name of the Region in which the zone lies. It cannot be
	// changed: a zone's records live in its region.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Zone cannot move to another region; delete it and create another"
	Region string `json:"region"`
}

// ZoneStatus is what Global knows of a zone.
type ZoneStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted (its Region exists) and Ready (the zone has a
	// session with its region).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// clusters is the number of clusters in the zone.
	// +optional
	Clusters int32 `json:"clusters"`

	// connected is how many of them have an agent with a session.
	// +optional
	Connected int32 `json:"connected"`
}

// ZoneList is a list of Zones.
//
// +kubebuilder:object:root=true
type ZoneList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Zone `json:"items"`
}
