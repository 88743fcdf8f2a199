package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Environment is a world of its own, such as prod or staging: Applications of
// one never call those of another, and share a cluster only where the cluster
// lists both. A Namespace belongs to the Environment named by its label
// meridian.dev/environment, and its Applications are accepted only if that
// Environment exists.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=menv,categories=meridian
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Environment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec has no fields: an Environment says all by existing.
	// +optional
	Spec EnvironmentSpec `json:"spec,omitempty,omitzero"`
}

// EnvironmentSpec has no fields: an Environment says all by existing.
type EnvironmentSpec struct{}

// EnvironmentList is a list of Environments.
//
// +kubebuilder:object:root=true
type EnvironmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Environment `json:"items"`
}
