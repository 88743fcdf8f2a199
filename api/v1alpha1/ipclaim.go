package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPClaim asks for an address or a prefix, and has it for as long as it exists.
// When it is deleted, nobody else gets what it had before the pool's quarantine
// is over.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mclaim,categories=meridian
// +kubebuilder:printcolumn:name="Allocated",type=string,JSONPath=`.status.conditions[?(@.type=="Allocated")].status`,description="Whether it has what it asks for."
// +kubebuilder:printcolumn:name="Prefix",type=string,JSONPath=`.status.prefix`
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.status.pool`
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.zone`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Allocated")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Allocated")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type IPClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec cannot be changed: what was given may be in use; delete the IPClaim and make another"
	Spec IPClaimSpec `json:"spec"`

	// status is what was given. Only Global writes it.
	// +optional
	Status IPClaimStatus `json:"status,omitempty,omitzero"`
}

// IPClaimSpec is what is asked for.
//
// +kubebuilder:validation:XValidation:rule="has(self.pool) != has(self.purpose)",message="give spec.pool or spec.purpose, one of the two"
// +kubebuilder:validation:XValidation:rule="has(self.purpose) || !has(self.network)",message="spec.network goes with spec.purpose; a pool has its own"
// +kubebuilder:validation:XValidation:rule="has(self.purpose) || !has(self.family)",message="spec.family goes with spec.purpose; a pool has its own"
// +kubebuilder:validation:XValidation:rule="!has(self.length) || !has(self.prefix)",message="spec.prefix has a length; leave spec.length out"
// +kubebuilder:validation:XValidation:rule="!has(self.length) || self.length <= 32 || has(self.pool) || has(self.family) && self.family == 'IPv6'",message="spec.length of IPv4 is at most 32"
// +kubebuilder:validation:XValidation:rule="!has(self.prefix) || !has(self.family) || (isIP(self.prefix) ? ip(self.prefix).family() == (self.family == 'IPv4' ? 4 : 6) : !isCIDR(self.prefix) || cidr(self.prefix).ip().family() == (self.family == 'IPv4' ? 4 : 6))",message="spec.prefix must be of spec.family"
type IPClaimSpec struct {
	// pool is the name of the IPPool to take it from.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool,omitempty"`

	// purpose takes it from any pool of that purpose and of network.
	// +optional
	Purpose IPPurpose `json:"purpose,omitempty"`

	// network is the Network for which the pool must be. Default: a pool for all
	// clusters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Network string `json:"network,omitempty"`

	// family of the pool. Default: that of prefix, or IPv4.
	// +optional
	Family IPFamily `json:"family,omitempty"`

	// length of the prefix. Default: the pool's claimLength.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	Length *int32 `json:"length,omitempty"`

	// prefix is the very address, or prefix, that it must be.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isIP(self) || isCIDR(self)",message="spec.prefix is an address or a CIDR, such as 10.1.2.3 or 10.1.0.0/24, and not an IPv4-mapped one"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).prefixLength() > 0",message="all addresses there are (/0) cannot be claimed"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).masked() == cidr(self)",message="bits are set beyond the prefix's length: 10.1.2.3/24 is 10.1.2.0/24"
	Prefix string `json:"prefix,omitempty"`

	// zone is the name of the Zone from whose part of the pool it is taken, by
	// that zone itself. Default: Global takes it from what is not delegated.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Zone string `json:"zone,omitempty"`
}

// IPClaimStatus is what a claim was given.
type IPClaimStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Allocated: the claim has what it asks for; otherwise why not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// pool from which it was taken.
	// +optional
	Pool string `json:"pool,omitempty"`

	// prefix that was given, such as 10.1.2.3/32.
	// +optional
	Prefix string `json:"prefix,omitempty"`

	// address is the prefix's, where that is a single one.
	// +optional
	Address string `json:"address,omitempty"`
}

// IPClaimList is a list of IPClaims.
//
// +kubebuilder:object:root=true
type IPClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IPClaim `json:"items"`
}
