package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TenantQuota limits what a tenant may have: all that is in the Namespaces whose
// label meridian.dev/tenant names it, in all environments. What was accepted
// before a limit stays, and the quota says that the tenant is over it; what is
// new or grows beyond a limit is refused with the reason QuotaExceeded, and is
// looked at again when there is room. Of several quotas for one tenant the lowest
// limit counts.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mquota,categories=meridian
// +kubebuilder:printcolumn:name="Tenant",type=string,JSONPath=`.spec.tenant`
// +kubebuilder:printcolumn:name="Within",type=string,JSONPath=`.status.conditions[?(@.type=="WithinLimits")].status`,description="Whether the tenant has no more than its limits."
// +kubebuilder:printcolumn:name="Applications",type=integer,JSONPath=`.status.used.applications`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.used.replicas`
// +kubebuilder:printcolumn:name="Consumers",type=integer,JSONPath=`.status.used.consumers`
// +kubebuilder:printcolumn:name="Addresses",type=integer,JSONPath=`.status.used.addresses`
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.refused`,description="Applications, AccessPolicies and IPClaims that wait for room."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="WithinLimits")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type TenantQuota struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is whom the quota is for, and its limits.
	// +required
	Spec TenantQuotaSpec `json:"spec"`

	// status is what the tenant has. Only Global writes it.
	// +optional
	Status TenantQuotaStatus `json:"status,omitempty,omitzero"`
}

// TenantQuotaSpec is whom a quota is for, and its limits. What is left out is not
// limited.
//
// +kubebuilder:validation:XValidation:rule="has(self.applications) || has(self.replicas) || has(self.consumers) || has(self.addresses) || has(self.resourceKinds)",message="give at least one limit: applications, replicas, consumers, addresses or resourceKinds"
type TenantQuotaSpec struct {
	// tenant is the value of the label meridian.dev/tenant of the Namespaces that
	// the quota is for. It cannot be changed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.tenant cannot be changed; make a quota for the other tenant"
	Tenant string `json:"tenant"`

	// applications is the most Applications that run.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Applications *int64 `json:"applications,omitempty"`

	// replicas is the most replicas that all the tenant's Applications ask for,
	// over all clusters: with placement.mode Duplicated, spec.replicas for each
	// cluster that fits; with a HorizontalPodAutoscaler of the Application's,
	// its maxReplicas for each cluster that fits.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	Replicas *int64 `json:"replicas,omitempty"`

	// consumers is the most Applications of other tenants that the tenant's
	// AccessPolicies let call something. An Application is counted once, however
	// many policies let it in, and whether or not it calls.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Consumers *int64 `json:"consumers,omitempty"`

	// addresses is the most addresses that the tenant's IPClaims, Applications and
	// ExternalServices have. A prefix counts as its number of addresses, and more
	// than 2^40 as so many.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000000
	Addresses *int64 `json:"addresses,omitempty"`

	// resourceKinds are the kinds that Applications may bring in spec.resources,
	// of those that Meridian carries; an empty list allows none. Default: all. Of
	// several quotas for one tenant, all must allow a kind.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	ResourceKinds []ResourceKind `json:"resourceKinds,omitzero"`
}

// ResourceKind is a kind that Applications can bring in spec.resources.
// +kubebuilder:validation:Enum=ConfigMap;CronJob;HorizontalPodAutoscaler;PersistentVolumeClaim;PodDisruptionBudget;Service
type ResourceKind string

// TenantQuotaStatus is what a tenant has, and may have.
type TenantQuotaStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are WithinLimits: the tenant has no more than this quota allows.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// used is what the tenant has.
	// +optional
	Used TenantUsage `json:"used,omitzero"`

	// limits are those that hold for the tenant: the lowest of all its quotas.
	// +optional
	Limits TenantLimits `json:"limits,omitzero"`

	// refused is the number of the tenant's Applications, AccessPolicies and
	// IPClaims that wait for room, under whichever of its quotas.
	// +optional
	Refused int32 `json:"refused"`
}

// TenantUsage is what a tenant has.
type TenantUsage struct {
	// applications that run.
	// +optional
	Applications int64 `json:"applications"`

	// replicas that these ask for, over all clusters.
	// +optional
	Replicas int64 `json:"replicas"`

	// consumers are Applications of other tenants that may call the tenant's.
	// +optional
	Consumers int64 `json:"consumers"`

	// addresses that the tenant's IPClaims, Applications and ExternalServices have
	// or wait for.
	// +optional
	Addresses int64 `json:"addresses"`
}

// TenantLimits are a tenant's limits; one that is absent is not limited.
type TenantLimits struct {
	// applications is the most Applications.
	// +optional
	Applications *int64 `json:"applications,omitempty"`

	// replicas is the most replicas.
	// +optional
	Replicas *int64 `json:"replicas,omitempty"`

	// consumers is the most consumers.
	// +optional
	Consumers *int64 `json:"consumers,omitempty"`

	// addresses is the most addresses.
	// +optional
	Addresses *int64 `json:"addresses,omitempty"`

	// resourceKinds are the kinds allowed in spec.resources; absent allows all.
	// +optional
	// +listType=atomic
	ResourceKinds []ResourceKind `json:"resourceKinds,omitzero"`
}

// TenantQuotaList is a list of TenantQuotas.
//
// +kubebuilder:object:root=true
type TenantQuotaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TenantQuota `json:"items"`
}
