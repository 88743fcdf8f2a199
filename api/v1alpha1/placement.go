package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PlacementMode says how replicas are dealt to the clusters chosen.
// +kubebuilder:validation:Enum=Divided;Duplicated;Singleton
type PlacementMode string

const (
	// PlacementDivided divides spec.replicas over all clusters chosen.
	PlacementDivided PlacementMode = "Divided"
	// PlacementDuplicated runs spec.replicas in each cluster chosen.
	PlacementDuplicated PlacementMode = "Duplicated"
	// PlacementSingleton runs all of spec.replicas in one cluster.
	PlacementSingleton PlacementMode = "Singleton"
)

// Placement says where an Application may run and how its replicas are dealt
// out. Selectors see the labels of the Region, Zone or Cluster and, besides,
// the label meridian.dev/name with the object's name as value, so that
// `matchLabels: {meridian.dev/name: west}` selects the region west. A cluster is
// eligible if it, its zone and its region match, it serves the Application's
// environment, and its taints are tolerated.
//
// +kubebuilder:validation:XValidation:rule="self.mode != 'Singleton' || !has(self.spread)",message="mode Singleton runs in one cluster, so spread has no meaning with it"
type Placement struct {
	// mode says how replicas are dealt out. Divided: replicas is the total, and
	// is divided over the clusters chosen. Duplicated: each cluster chosen runs
	// replicas. Singleton: one cluster runs all of them. Default Divided.
	// +optional
	// +kubebuilder:default=Divided
	Mode PlacementMode `json:"mode,omitempty"`

	// regions selects regions by label, the virtual label meridian.dev/name
	// included. Default: all.
	// +optional
	Regions *metav1.LabelSelector `json:"regions,omitempty"`

	// zones selects zones by label, the virtual label meridian.dev/name
	// included. Default: all.
	// +optional
	Zones *metav1.LabelSelector `json:"zones,omitempty"`

	// clusters selects clusters by label, the virtual label meridian.dev/name
	// included. Default: all.
	// +optional
	Clusters *metav1.LabelSelector `json:"clusters,omitempty"`

	// tolerations let the Application run in clusters with matching taints. At
	// most 32.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []Toleration `json:"tolerations,omitempty"`

	// spread bounds how many zones and clusters are used. Default: all that are
	// eligible.
	// +optional
	Spread *Spread `json:"spread,omitempty"`
}

// Spread bounds how widely an Application is spread.
type Spread struct {
	// maxZones is the most zones to use, at least 1. Default: no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxZones int32 `json:"maxZones,omitempty"`

	// maxClustersPerZone is the most clusters to use in one zone, at least 1.
	// Default: no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxClustersPerZone int32 `json:"maxClustersPerZone,omitempty"`
}

// TaintEffect is what a taint does to Applications that do not tolerate it.
// +kubebuilder:validation:Enum=NoSchedule;NoExecute
type TaintEffect string

const (
	// TaintNoSchedule lets no new Application in; those that run there stay.
	TaintNoSchedule TaintEffect = "NoSchedule"
	// TaintNoExecute also moves away those that run there.
	TaintNoExecute TaintEffect = "NoExecute"
)

// Taint keeps Applications that do not tolerate it out of a cluster.
type Taint struct {
	// key of the taint, as the key of a label.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`

	// value of the taint, as the value of a label. Default: empty.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Value string `json:"value,omitempty"`

	// effect is NoSchedule (Applications that do not tolerate the taint are not
	// newly placed there) or NoExecute (those that run there are moved too).
	// +required
	Effect TaintEffect `json:"effect"`
}

// TolerationOperator compares a toleration with a taint.
// +kubebuilder:validation:Enum=Equal;Exists
type TolerationOperator string

const (
	// TolerationEqual matches taints of that key and value.
	TolerationEqual TolerationOperator = "Equal"
	// TolerationExists matches taints of that key, whatever their value.
	TolerationExists TolerationOperator = "Exists"
)

// Toleration matches taints of clusters, with the meaning that Kubernetes gives
// to a pod's tolerations of a node's taints.
//
// +kubebuilder:validation:XValidation:rule="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || size(self.value) == 0",message="operator Exists takes no value"
// +kubebuilder:validation:XValidation:rule="(has(self.operator) && self.operator == 'Exists') || (has(self.key) && size(self.key) > 0)",message="operator Equal needs a key"
type Toleration struct {
	// key of the taints matched. Empty with operator Exists: all keys.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key,omitempty"`

	// operator is Equal (key and value are the taint's) or Exists (the key is
	// the taint's). Default Equal.
	// +optional
	Operator TolerationOperator `json:"operator,omitempty"`

	// value of the taints matched, for operator Equal. Default: empty.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Value string `json:"value,omitempty"`

	// effect of the taints matched, NoSchedule or NoExecute. Empty: both.
	// +optional
	// +kubebuilder:validation:Enum=NoSchedule;NoExecute;""
	Effect string `json:"effect,omitempty"`
}
