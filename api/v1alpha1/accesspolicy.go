package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AccessPolicy says who may call Applications of its namespace. Policies only
// add: a call is allowed if any rule of any policy allows it. Inside one
// namespace every call is allowed, unless a policy that concerns the
// Application has sameNamespace: Deny; from another namespace none is, unless a
// rule allows it. Applications of different environments never call each other,
// whatever a policy says.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mpolicy,categories=meridian
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Applications",type=integer,JSONPath=`.status.applications`,description="The Applications that the policy concerns."
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type AccessPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says whom the policy concerns and what it allows.
	// +required
	Spec AccessPolicySpec `json:"spec"`

	// status is what Global made of the policy.
	// +optional
	Status AccessPolicyStatus `json:"status,omitempty,omitzero"`
}

// SameNamespace says what holds for calls inside one namespace.
// +kubebuilder:validation:Enum=Allow;Deny
type SameNamespace string

const (
	// SameNamespaceAllow: calls inside the namespace are allowed without a rule.
	SameNamespaceAllow SameNamespace = "Allow"
	// SameNamespaceDeny: calls inside the namespace need a rule as well.
	SameNamespaceDeny SameNamespace = "Deny"
)

// AccessPolicySpec says whom a policy concerns and what it allows.
type AccessPolicySpec struct {
	// applications are the names of the Applications, in the policy's namespace,
	// that the policy concerns. Default: all of the namespace. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=40
	// +kubebuilder:validation:items:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Applications []string `json:"applications,omitempty"`

	// sameNamespace is Allow, or Deny: calls inside the namespace then need a
	// rule too. One Deny outweighs every Allow. Default Allow.
	// +optional
	// +kubebuilder:default=Allow
	SameNamespace SameNamespace `json:"sameNamespace,omitempty"`

	// rules each allow some callers some calls. None allows nothing. At most 64.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Rules []AccessRule `json:"rules,omitempty"`
}

// AccessRule allows some callers some calls. Each list that is given must match;
// one that is left out matches all.
type AccessRule struct {
	// from lists the callers; one of them suffices. One to 64.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	From []CallerSelector `json:"from"`

	// ports are numbers of the Application's ports. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`

	// methods are HTTP methods, such as GET. A rule with methods or paths allows
	// requests of HTTP and gRPC only. At most 16.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:Pattern=`^[A-Z]+$`
	Methods []string `json:"methods,omitempty"`

	// paths are the paths of requests: exact (/v1/pay), with a star at the end for
	// everything that begins so (/v1/*), or with one in front for everything that
	// ends so (*/health). No braces, to which Istio gives a meaning of its own. At
	// most 32.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:Pattern=`^(/[^*{}\s?#]*\*?|\*[^*{}\s?#]+)$`
	Paths []string `json:"paths,omitempty"`
}

// CallerSelector names callers: one Application, all of a namespace, or all of a
// tenant.
//
// +kubebuilder:validation:XValidation:rule="has(self.tenant) != has(self.__namespace__)",message="each caller has either a namespace (and in it, where wanted, an application) or a tenant"
// +kubebuilder:validation:XValidation:rule="!has(self.application) || has(self.__namespace__)",message="an application goes with its namespace"
type CallerSelector struct {
	// namespace of the callers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// application is the caller's name. Default: every one of the namespace.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Application string `json:"application,omitempty"`

	// tenant allows every namespace whose label meridian.dev/tenant has this
	// value, and that is of the policy's environment.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Tenant string `json:"tenant,omitempty"`
}

// AccessPolicyStatus is what Global made of a policy.
type AccessPolicyStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted: the policy is in force. A message tells of what it
	// names and is not there.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// applications is the number of Applications that the policy concerns.
	// +optional
	Applications int32 `json:"applications"`
}

// AccessPolicyList is a list of AccessPolicies.
//
// +kubebuilder:object:root=true
type AccessPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []AccessPolicy `json:"items"`
}
