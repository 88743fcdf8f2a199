package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ApplicationStatus is what Meridian has made of an Application. Its size does
// not depend on the number of clusters; `meridian status` lists these.
//
// Lists with one writer are atomic: as maps, the managed fields of one status
// would name every field of every zone, and each write costs the API server
// about a third more.
type ApplicationStatus struct {
	// observedGeneration is the metadata.generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// revision is the short name of the revision that Global last accepted: the
	// first ten hexadecimal digits of the hash of the normalised spec.
	// +optional
	Revision string `json:"revision,omitempty"`

	// address is the one that the Application asked for and has.
	// +optional
	Address string `json:"address,omitempty"`

	// conditions are Accepted, Placed, DependenciesResolved, Converged (every
	// cluster concerned has applied the current revision), Ready (all desired
	// replicas of it are ready) and, where it asks for an address, Allocated.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// desired is the number of replicas wanted, over all clusters.
	// +optional
	Desired int32 `json:"desired"`

	// updated is the number of replicas of the current revision, over all
	// clusters, ready or not.
	// +optional
	Updated int32 `json:"updated"`

	// ready is the number of replicas that are ready, over all clusters.
	// +optional
	Ready int32 `json:"ready"`

	// clusters is the number of clusters chosen.
	// +optional
	Clusters int32 `json:"clusters"`

	// zoneCount is the number of zones chosen, the length of zones.
	// +optional
	ZoneCount int32 `json:"zoneCount"`

	// summary is ready and desired as "6/6", for people.
	// +optional
	Summary string `json:"summary,omitempty"`

	// message is what a person should look at first; absent when nothing is
	// wrong.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// zones has one line of counts for each zone in which the Application runs
	// or from which it has not yet gone, in the order of their names.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	Zones []ZoneCounts `json:"zones,omitempty"`

	// problems are the first few things that went wrong, at most 8.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Problems []Problem `json:"problems,omitempty"`
}

// ZoneCounts is one zone's part in an Application.
type ZoneCounts struct {
	// name of the zone.
	// +required
	Name string `json:"name"`

	// region in which the zone lies.
	// +optional
	Region string `json:"region,omitempty"`

	// revision is the short name of the revision that the zone last reported; of
	// several, that of its slowest cluster.
	// +optional
	Revision string `json:"revision,omitempty"`

	// desired is the number of replicas that the zone is to run.
	// +optional
	Desired int32 `json:"desired"`

	// updated is how many replicas are of that revision, ready or not.
	// +optional
	Updated int32 `json:"updated"`

	// ready is how many replicas are ready.
	// +optional
	Ready int32 `json:"ready"`

	// clusters is how many of the zone's clusters run the Application.
	// +optional
	Clusters int32 `json:"clusters"`

	// convergedClusters is how many of these have applied the current revision.
	// +optional
	ConvergedClusters int32 `json:"convergedClusters"`
}

// Problem is one thing that went wrong, and where.
type Problem struct {
	// zone in which it happened; absent for what Global found.
	// +optional
	Zone string `json:"zone,omitempty"`

	// cluster in which it happened; absent if it concerns the whole zone.
	// +optional
	Cluster string `json:"cluster,omitempty"`

	// object concerned, as kind/name or kind/namespace/name.
	// +optional
	Object string `json:"object,omitempty"`

	// reason is one word for programs, such as ObjectExists.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message is one sentence for people, at most 1024 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
