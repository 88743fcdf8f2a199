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

	// spec says what the environment's meshes have in common.
	// +optional
	Spec EnvironmentSpec `json:"spec,omitempty,omitzero"`
}

// EnvironmentSpec says what an environment's meshes have in common.
type EnvironmentSpec struct {
	// trustDomain is the one that the environment's meshes give their workloads
	// (Istio's meshConfig.trustDomain): identities are
	// spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/APPLICATION. Default cluster.local.
	// +optional
	// +kubebuilder:default=cluster.local
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	TrustDomain string `json:"trustDomain,omitempty"`
}

// EnvironmentList is a list of Environments.
//
// +kubebuilder:object:root=true
type EnvironmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Environment `json:"items"`
}
