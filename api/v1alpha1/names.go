package v1alpha1

// Labels that Meridian reads.
const (
	// LabelTenant, on a Namespace at Global, names the team or business that
	// owns what is in it.
	LabelTenant = "meridian.dev/tenant"
	// LabelEnvironment, on a Namespace at Global, names the Environment to which
	// everything in it belongs. Without it no Application in it is accepted.
	LabelEnvironment = "meridian.dev/environment"
	// LabelName is a label that every Region, Zone and Cluster has without being
	// given it: placement selectors see it with the object's own name as value.
	LabelName = "meridian.dev/name"
)

// AnnotationChangedBy, on each of Meridian's resources, says who last changed its
// spec. The API server writes it where deploy/changes is applied, and nobody else
// can.
const AnnotationChangedBy = "meridian.dev/changed-by"

// Condition types.
const (
	// ConditionAccepted: the object is well formed and what it names exists.
	ConditionAccepted = "Accepted"
	// ConditionPlaced: zones were found for all that the Application asks for.
	ConditionPlaced = "Placed"
	// ConditionDependenciesResolved: everything in dependsOn exists and may be
	// depended on.
	ConditionDependenciesResolved = "DependenciesResolved"
	// ConditionConverged: every cluster concerned has applied the current
	// revision.
	ConditionConverged = "Converged"
	// ConditionReady: for an Application, all desired replicas are ready; for an
	// object of the inventory, it is connected.
	ConditionReady = "Ready"
	// ConditionEnrolled: a process of the place, of the inventory, has a
	// certificate of Meridian's own authority.
	ConditionEnrolled = "Enrolled"
	// ConditionAllocated: who asks for addresses has them.
	ConditionAllocated = "Allocated"
	// ConditionSufficient: enough of an IPPool is free.
	ConditionSufficient = "Sufficient"
	// ConditionInForce: an IPPool is in force at each place that has something of
	// it, as far as that has told.
	ConditionInForce = "InForce"
	// ConditionRangesDisjoint: no cluster of a Cluster's network that comes before
	// it has pods of the same addresses.
	ConditionRangesDisjoint = "RangesDisjoint"
	// ConditionServiceRangesDisjoint: a Cluster's Services have no addresses of an
	// IPPool or of its network's pods, and an IPPool none that a Cluster has for
	// Services.
	ConditionServiceRangesDisjoint = "ServiceRangesDisjoint"
	// ConditionWithinLimits: a tenant has no more than its TenantQuota allows.
	ConditionWithinLimits = "WithinLimits"
)

// Reasons of ConditionAccepted.
const (
	ReasonAccepted                  = "Accepted"
	ReasonNamespaceHasNoEnvironment = "NamespaceHasNoEnvironment"
	ReasonUnknownEnvironment        = "UnknownEnvironment"
	// ReasonTrustDomainTaken: an older Environment has an Environment's trust
	// domain; also of what is in the younger.
	ReasonTrustDomainTaken     = "TrustDomainTaken"
	ReasonUnknownNetwork       = "UnknownNetwork"
	ReasonUnknownRegion        = "UnknownRegion"
	ReasonUnknownZone          = "UnknownZone"
	ReasonObjectOwnedByAnother = "ObjectOwnedByAnother"
	ReasonSpecTooLarge         = "SpecTooLarge"
	ReasonResourceNotAllowed   = "ResourceNotAllowed"
	ReasonInvalidTemplate      = "InvalidTemplate"
	ReasonInvalidSpec          = "InvalidSpec"
	// ReasonTooManyRules: an AccessPolicy's rules are more than an Application
	// that it concerns can have.
	ReasonTooManyRules = "TooManyRules"
	// ReasonQuotaExceeded: a TenantQuota has no room for what is new in an
	// Application, AccessPolicy or IPClaim, or for an ExternalService's address.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPoolsOverlap: another IPPool has the same addresses for the same
	// clusters.
	ReasonPoolsOverlap = "PoolsOverlap"
	// ReasonInUse: what an IPPool no longer has is taken.
	ReasonInUse = "InUse"
	// ReasonRangesOverlap: two clusters of a Network have pods of the same
	// addresses; also of ConditionRangesDisjoint and ConditionServiceRangesDisjoint.
	ReasonRangesOverlap = "RangesOverlap"
)

// Reasons of ConditionAllocated beside those of package ipam, ConditionSufficient,
// ConditionRangesDisjoint and ConditionServiceRangesDisjoint.
const (
	ReasonAllocated = "Allocated"
	// ReasonPending: where it is to be taken has not told yet.
	ReasonPending = "Pending"
	// ReasonPoolNotFound: there is no such IPPool, or it was never accepted.
	ReasonPoolNotFound = "PoolNotFound"
	// ReasonNotDelegated: the pool is not delegated to zones.
	ReasonNotDelegated = "NotDelegated"
	ReasonSufficient   = "Sufficient"
	// ReasonLow: less than lowWaterPercent of the pool is free.
	ReasonLow      = "Low"
	ReasonDisjoint = "Disjoint"
)

// Reasons of ConditionWithinLimits.
const (
	ReasonWithinLimits = "WithinLimits"
	// ReasonOverQuota: the tenant had more when the limit came, or got more by
	// what others did.
	ReasonOverQuota = "OverQuota"
)

// Reasons of ConditionPlaced.
const (
	ReasonPlaced            = "Placed"
	ReasonNoMatchingZone    = "NoMatchingZone"
	ReasonNoMatchingCluster = "NoMatchingCluster"
	ReasonNotAccepted       = "NotAccepted"
)

// Reasons of ConditionDependenciesResolved.
const (
	ReasonResolved           = "Resolved"
	ReasonDependencyNotFound = "DependencyNotFound"
	// ReasonDependencyDenied: no AccessPolicy allows the calls, or the Application
	// is not among the consumers of the ExternalService.
	ReasonDependencyDenied = "DependencyDenied"
	ReasonOtherEnvironment = "OtherEnvironment"
)

// Reasons of ConditionEnrolled.
const (
	ReasonEnrolled    = "Enrolled"
	ReasonNotEnrolled = "NotEnrolled"
)

// Reasons of ConditionConverged and ConditionReady, and of a Problem.
const (
	ReasonConverged        = "Converged"
	ReasonProgressing      = "Progressing"
	ReasonNothingPlaced    = "NothingPlaced"
	ReasonReady            = "Ready"
	ReasonReplicasNotReady = "ReplicasNotReady"
	// ReasonConnected and ReasonNotConnected speak of sessions with a child.
	ReasonConnected    = "Connected"
	ReasonNotConnected = "NotConnected"
	// ReasonRejected: a cluster refused an object; of ConditionInForce, a place
	// refused what is accepted of an IPPool.
	ReasonRejected = "Rejected"
	// ReasonObjectExists: the cluster holds an object of that name that is not
	// Meridian's, and the Application does not say adopt.
	ReasonObjectExists = "ObjectExists"
)

// Bounds that the schemas enforce and that writers of status must keep.
const (
	// MaxApplicationName is the longest name of an Application, in bytes.
	MaxApplicationName = 40
	// MaxProblems is the most entries in ApplicationStatus.Problems.
	MaxProblems = 8
	// MaxProblemMessage is the longest message of a problem, in characters;
	// writers cut longer ones.
	MaxProblemMessage = 1024
	// MaxStatusZones is the most entries in ApplicationStatus.Zones.
	MaxStatusZones = 512
)
