package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Region is a place with zones of its own and a relay between them and Global.
// Its labels are what placement.regions selects by.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mregion,categories=meridian
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the region has a session with Global."
// +kubebuilder:printcolumn:name="Zones",type=integer,JSONPath=`.status.zones`,description="The zones in the region."
// +kubebuilder:printcolumn:name="Connected",type=integer,JSONPath=`.status.connected`,description="The zones that have a session with the region."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Region struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec has no fields: a Region is described by its labels.
	// +optional
	Spec RegionSpec `json:"spec,omitempty,omitzero"`

	// status is what Global knows of the region.
	// +optional
	Status RegionStatus `json:"status,omitempty,omitzero"`
}

// RegionSpec has no fields: a Region is described by its labels.
type RegionSpec struct{}

// RegionStatus is what Global knows of a region.
type RegionStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted and Ready (the region has a session with Global).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// zones is the number of zones in the region.
	// +optional
	Zones int32 `json:"zones"`

	// connected is how many of them have a session with the region.
	// +optional
	Connected int32 `json:"connected"`
}

// RegionList is a list of Regions.
//
// +kubebuilder:object:root=true
type RegionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Region `json:"items"`
}
