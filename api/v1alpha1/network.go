package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Network is a set of clusters whose pods reach each other directly. A Cluster
// is accepted only if the Network that it names exists.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=mnet,categories=meridian
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Network struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec has no fields: a Network says all by existing.
	// +optional
	Spec NetworkSpec `json:"spec,omitempty,omitzero"`
}

// NetworkSpec has no fields: a Network says all by existing.
type NetworkSpec struct{}

// NetworkList is a list of Networks.
//
// +kubebuilder:object:root=true
type NetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Network `json:"items"`
}
