package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPPool is address space of one family that Meridian hands out: to IPClaims,
// and to Applications and Clusters that ask for an address. Prefixes of it are
// delegated to regions and zones, which give from them with no word from above.
// A pool that is deleted gives nothing more, and is gone when nothing of it is
// taken.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mpool,categories=meridian
// +kubebuilder:printcolumn:name="Purpose",type=string,JSONPath=`.spec.purpose`
// +kubebuilder:printcolumn:name="Family",type=string,JSONPath=`.spec.family`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`,description="Whether the spec as it is now is in force."
// +kubebuilder:printcolumn:name="Sufficient",type=string,JSONPath=`.status.conditions[?(@.type=="Sufficient")].status`,description="Whether more than lowWaterPercent of it is free."
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.status.addresses`
// +kubebuilder:printcolumn:name="Taken",type=string,JSONPath=`.status.taken`,description="Addresses that somebody has, or had a moment ago."
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.status.percent`,description="Per cent of the pool that is taken or delegated."
// +kubebuilder:printcolumn:name="Network",type=string,priority=1,JSONPath=`.spec.network`
// +kubebuilder:printcolumn:name="Ranges",type=string,priority=1,JSONPath=`.spec.ranges[*].cidr`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type IPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the address space and how it is handed out.
	// +required
	Spec IPPoolSpec `json:"spec"`

	// status is how much of it is taken. Only Global writes it.
	// +optional
	Status IPPoolStatus `json:"status,omitempty,omitzero"`
}

// IPFamily is a version of the Internet Protocol.
// +kubebuilder:validation:Enum=IPv4;IPv6
type IPFamily string

// The families.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

// IPPurpose is what addresses are for.
// +kubebuilder:validation:Enum=Service;Pod;Node;LoadBalancer
type IPPurpose string

// The purposes.
const (
	PurposeService      IPPurpose = "Service"
	PurposePod          IPPurpose = "Pod"
	PurposeNode         IPPurpose = "Node"
	PurposeLoadBalancer IPPurpose = "LoadBalancer"
)

// IPPoolSpec is address space and how it is handed out.
//
// +kubebuilder:validation:XValidation:rule="self.ranges.all(r, !isCIDR(r.cidr) || cidr(r.cidr).ip().family() == (self.family == 'IPv4' ? 4 : 6))",message="each of spec.ranges must be of spec.family"
// +kubebuilder:validation:XValidation:rule="!has(self.reserved) || self.reserved.all(r, !isCIDR(r) || self.ranges.exists(g, isCIDR(g.cidr) && cidr(g.cidr).containsCIDR(r)))",message="each of spec.reserved must lie in one of spec.ranges"
// +kubebuilder:validation:XValidation:rule="!has(self.delegation) || !has(self.delegation.regionLength) || self.ranges.all(r, !isCIDR(r.cidr) || cidr(r.cidr).prefixLength() <= self.delegation.regionLength)",message="spec.delegation.regionLength must be at least the length of each of spec.ranges: what is delegated is a part of them"
// +kubebuilder:validation:XValidation:rule="!has(self.claimLength) || self.ranges.all(r, !isCIDR(r.cidr) || cidr(r.cidr).prefixLength() <= self.claimLength)",message="spec.claimLength must be at least the length of each of spec.ranges"
// +kubebuilder:validation:XValidation:rule="!has(self.claimLength) || !has(self.delegation) || !has(self.delegation.regionLength) || self.delegation.regionLength <= self.claimLength",message="spec.claimLength must be at least spec.delegation.regionLength: a claim is met from what is delegated"
// +kubebuilder:validation:XValidation:rule="!has(self.claimLength) || !has(self.delegation) || !has(self.delegation.zoneLength) || self.delegation.zoneLength <= self.claimLength",message="spec.claimLength must be at least spec.delegation.zoneLength: a claim is met from what is delegated"
// +kubebuilder:validation:XValidation:rule="self.family == 'IPv6' || (!has(self.claimLength) || self.claimLength <= 32) && (!has(self.delegation) || (!has(self.delegation.regionLength) || self.delegation.regionLength <= 32) && (!has(self.delegation.zoneLength) || self.delegation.zoneLength <= 32))",message="a length of IPv4 is at most 32"
// +kubebuilder:validation:XValidation:rule="self.lowWaterPercent < self.highWaterPercent",message="spec.lowWaterPercent must be less than spec.highWaterPercent"
type IPPoolSpec struct {
	// family of all its addresses. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.family cannot be changed; make another IPPool"
	Family IPFamily `json:"family"`

	// ranges are the address space, one to 32, none of which overlaps another.
	// One that is taken out must be empty: let it drain first.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(a, !isCIDR(a.cidr) || self.exists_one(b, isCIDR(b.cidr) && (cidr(a.cidr).containsCIDR(b.cidr) || cidr(b.cidr).containsCIDR(a.cidr))))",message="two of spec.ranges overlap"
	Ranges []IPRange `json:"ranges"`

	// reserved are prefixes in the ranges that are given to nobody. At most 128.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r) && cidr(r).masked() == cidr(r))",message="each of spec.reserved is a CIDR with no bits set beyond its length, such as 10.0.0.0/28, and not an IPv4-mapped one"
	Reserved []string `json:"reserved,omitempty"`

	// purpose is what the addresses are for. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.purpose cannot be changed; make another IPPool"
	Purpose IPPurpose `json:"purpose"`

	// network is the name of the Network whose clusters the addresses are for.
	// Without it they are for all clusters. Pools for one network, or one of them
	// for all clusters, must not overlap. It cannot be changed.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.network cannot be changed; make another IPPool"
	// +kubebuilder:default=""
	Network string `json:"network"`

	// delegation says how long the prefixes are that regions and zones hold.
	// Without it Global alone gives from the pool.
	// +optional
	Delegation *IPDelegation `json:"delegation,omitempty"`

	// claimLength is the length of what a claim gets that asks for no other.
	// Default: a single address, 32 or 128.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	ClaimLength *int32 `json:"claimLength,omitempty"`

	// lowWaterPercent is how much of what a place holds is free, in per cent, when
	// it asks for a prefix more; and of the whole pool, when it is no longer
	// Sufficient. Default 20.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99
	LowWaterPercent *int32 `json:"lowWaterPercent,omitempty"`

	// highWaterPercent is how much of what a place keeps must be free, in per
	// cent, when it gives back a prefix of which nothing is taken. Default 60.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HighWaterPercent *int32 `json:"highWaterPercent,omitempty"`

	// quarantine is how long nobody else gets what was released, at most 720h.
	// Default 10m.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('720h')",message="spec.quarantine is from 0s to 720h, such as 10m"
	Quarantine *metav1.Duration `json:"quarantine,omitempty"`
}

// IPRange is a part of a pool.
type IPRange struct {
	// cidr is its prefix, such as 10.64.0.0/12.
	// +required
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="a CIDR is wanted, such as 10.64.0.0/12 or 2001:db8::/32, and not an IPv4-mapped one"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).prefixLength() > 0",message="all addresses there are (/0) cannot be a range"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self).masked() == cidr(self)",message="bits are set beyond the prefix's length: 10.1.2.3/8 is 10.0.0.0/8"
	CIDR string `json:"cidr"`

	// draining has nothing more taken from the range, at any tier. It can be taken
	// out when nothing of it is taken any more.
	// +optional
	Draining bool `json:"draining,omitempty"`
}

// IPDelegation is the lengths of the prefixes that places hold.
//
// +kubebuilder:validation:XValidation:rule="!has(self.zoneLength) || self.regionLength <= self.zoneLength",message="spec.delegation.zoneLength must be at least regionLength: a zone's prefix is a part of its region's"
type IPDelegation struct {
	// regionLength is the length of a region's prefixes.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	RegionLength int32 `json:"regionLength"`

	// zoneLength is the length of a zone's. Without it zones hold none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	ZoneLength *int32 `json:"zoneLength,omitempty"`
}

// IPPoolStatus is how much of a pool is taken. Numbers of addresses are texts:
// those of IPv6 are beyond what a number in JSON can be.
type IPPoolStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Accepted (the spec as it is now is in force; otherwise the
	// one before stays so), Sufficient (more than lowWaterPercent is free),
	// InForce (no place that has something of it refuses what is accepted, such as
	// a reservation of what it gave before that was known there) and
	// ServiceRangesDisjoint (no cluster reports addresses of it for Services).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// addresses that the pool has, those reserved not counted.
	// +optional
	Addresses string `json:"addresses,omitempty"`

	// taken are addresses that Global and the regions, as these last told, have
	// given to somebody, or had a moment ago.
	// +optional
	Taken string `json:"taken,omitempty"`

	// delegated are addresses that regions hold.
	// +optional
	Delegated string `json:"delegated,omitempty"`

	// percent of the pool that is delegated or that Global itself has given.
	// +optional
	Percent int32 `json:"percent"`
}

// IPPoolList is a list of IPPools.
//
// +kubebuilder:object:root=true
type IPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IPPool `json:"items"`
}
