package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Environment is a world of its own, such as prod or staging: Applications of
// one never call those of another, and share a cluster only where the cluster
// lists both. A Namespace belongs to the Environment named by its label
// meridian.dev/environment, and its Applications are accepted only if that
// Environment exists.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=menv,categories=meridian
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether the environment has its trust domain."
// +kubebuilder:printcolumn:name="Trust-Domain",type=string,JSONPath=`.spec.trustDomain`,description="The trust domain of the environment's workloads."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Environment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what the environment's meshes have in common.
	// +optional
	Spec EnvironmentSpec `json:"spec,omitempty,omitzero"`

	// status is what Global made of it.
	// +optional
	Status EnvironmentStatus `json:"status,omitempty,omitzero"`
}

// EnvironmentSpec says what an environment's meshes have in common.
type EnvironmentSpec struct {
	// trustDomain is the one that the environment's meshes give their workloads
	// (Istio's meshConfig.trustDomain): identities are
	// spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/APPLICATION. Default cluster.local.
	// No two environments have the same one, unless the younger says
	// shareTrustDomain.
	// +optional
	// +kubebuilder:default=cluster.local
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	TrustDomain string `json:"trustDomain,omitempty"`

	// shareTrustDomain lets the environment have the trust domain of an older
	// one. No identity then tells their workloads apart: what keeps them apart
	// is that a namespace is in one environment alone. It is for environments
	// that share a cluster with a mesh, since a mesh has one trust domain.
	// +optional
	ShareTrustDomain bool `json:"shareTrustDomain,omitempty"`
}

// EnvironmentStatus is what Global made of an environment.
type EnvironmentStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EnvironmentList is a list of Environments.
//
// +kubebuilder:object:root=true
type EnvironmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Environment `json:"items"`
}
