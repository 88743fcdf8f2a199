package record

import (
	"strings"
	"time"
)

// ServiceName is NAMESPACE/APPLICATION, as dependencies and status records name an application.
func ServiceName(namespace, application string) string { return namespace + "/" + application }

// externalSuffix sets ExternalServices apart from the applications of their namespace, whose names have no dots.
const externalSuffix = ".external"

// ExternalName is the name by which an ExternalService is known where applications are by theirs: in the keys of its service,
// policy and audience records, and among an assignment's dependencies.
func ExternalName(name string) string { return name + externalSuffix }

// CutExternal reads a name that ExternalName made; others are applications'.
func CutExternal(name string) (external string, ok bool) {
	return strings.CutSuffix(name, externalSuffix)
}

// Revision is an application's normalised spec: immutable, named by the hash of its content.
type Revision struct {
	Namespace   string
	Application string
	Environment string
	Tenant      string
	// Spec is an ApplicationSpec (meridian.dev/v1alpha1) as canonical JSON with its defaults filled in.
	Spec []byte
}

// Port is one port of a Service.
type Port struct {
	Name        string
	Port        int32
	TargetPort  int32
	Protocol    string
	AppProtocol string
}

// Service is the callable face of an application, or of an ExternalService (ExternalName).
type Service struct {
	Namespace      string
	Application    string
	Environment    string
	Tenant         string
	Ports          []Port
	ServiceAccount string
	// Unproxied: where there is a mesh, its pods have no proxy all the same, so that they are called in their own cluster alone.
	Unproxied bool
	// External is set for an ExternalService alone.
	External *External
}

// External is what of an ExternalService is outside the mesh.
type External struct {
	Hosts []string
	// Endpoints are where it is; none: what DNS says of Hosts.
	Endpoints []ExternalEndpoint
	// Address that IPAM gave it; empty where it needs none, or has none yet.
	Address string
	// TLS is how proxies begin TLS; nil: they do not.
	TLS *ExternalTLS
}

// ExternalEndpoint is an IP address, and where it is: empty is anywhere.
type ExternalEndpoint struct {
	Address, Region, Zone string
}

// ExternalTLS is how proxies begin TLS.
type ExternalTLS struct {
	// Mutual: the proxy shows the certificate of CredentialName.
	Mutual          bool
	CredentialName  string
	SNI             string
	SubjectAltNames []string
}

// Taint keeps away applications that do not tolerate it.
type Taint struct {
	Key, Value, Effect string
}

// Mesh is how a cluster takes part in the mesh.
type Mesh struct {
	// Dataplane is Sidecar or None.
	Dataplane string
	// PlatformHosts are egress hosts, NAMESPACE/HOST, that every Sidecar lists.
	PlatformHosts []string
	// DefaultSidecar asks for the Sidecar of the root namespace.
	DefaultSidecar bool
	RootNamespace  string
	// Primary is the cluster of the zone whose istiod configures this one's proxies; empty is this one itself.
	Primary string
	// Gateway is the east-west gateway; one without addresses is none.
	Gateway Gateway
}

// Gateway is a cluster's east-west gateway.
type Gateway struct {
	// Addresses are the IP addresses at which clusters on other networks reach it, at port 15443.
	Addresses []string
	// Namespace and Selector find its pods.
	Namespace string
	Selector  map[string]string
}

// Cluster is one entry of the inventory.
type Cluster struct {
	Name         string
	Region       string
	Zone         string
	Environments []string
	Network      string
	Labels       map[string]string
	Taints       []Taint
	Mesh         Mesh
	// PodRanges are the CIDRs of all pods on the cluster's network, sorted; empty where they are not known.
	PodRanges []string
}

// Assignment is what Global decided for one application in one zone.
type Assignment struct {
	Namespace   string
	Application string
	Zone        string
	Region      string
	// Revision is the hash that names the revision record.
	Revision string
	Replicas int32
	// Generation is the compiler generation that the objects are compiled with.
	Generation uint32
	// Dependencies are resolved and permitted, NAMESPACE/APPLICATION, sorted.
	Dependencies []string
	// Draining says that the zone is being left: what runs stays until the application is ready elsewhere.
	Draining bool
	// AcceptedAt is when Global accepted the revision.
	AcceptedAt time.Time
}

// Binding is what a zone decided of its assignment for one cluster.
type Binding struct {
	Namespace    string
	Application  string
	Cluster      string
	Revision     string
	Replicas     int32
	Generation   uint32
	Dependencies []string
	Draining     bool
}

// Problem is something that a person should look at. Zone and Cluster are empty where it is not of one.
type Problem struct {
	Zone, Cluster string
	Object        string
	Reason        string
	Message       string
}

// Workload is the state of one workload object in one cluster.
type Workload struct {
	Key Key
	// Version is the record version of the live object that the counts speak for; zero while a newer generation of
	// the object has not been observed by its controller.
	Version                 Version
	Desired, Updated, Ready int32
	// ReadyAt is when this version was first seen complete.
	ReadyAt time.Time
}

// Counts sums the state of an application over some clusters.
type Counts struct {
	// Revision is the one that the counts are of; empty while clusters differ.
	Revision string
	// Replicas wanted, running the revision, and ready.
	Desired, Updated, Ready int32
	// Clusters that should run it, and those that have applied all its objects.
	Clusters, Converged int32
	// When the last cluster had applied it and when the last was ready; zero is not yet.
	AppliedAt, ReadyAt time.Time
}

// Line is the state of an application in one zone.
type Line struct {
	Zone, Region string
	Counts
}

// MaxProblems bounds the problems in one Status.
const MaxProblems = 8

// Status is the state of one application below a tier.
type Status struct {
	Namespace   string
	Application string
	Counts
	// Problems are the first few, at most MaxProblems.
	Problems []Problem
	// Lines are the zones, sorted; only regions write them.
	Lines []Line
	// Workloads are one cluster's; only agents write them.
	Workloads []Workload
}

// Health is what is known of one cluster.
type Health struct {
	Cluster           string
	Zone, Region      string
	Connected         bool
	Nodes             int32
	KubernetesVersion string
	// Applications that the zone has bound to the cluster.
	Applications int32
	Problems     []Problem
	// PodRanges and ServiceRanges are the prefixes that the cluster itself uses for pods and for Services, as its agent found
	// them: at most MaxRanges of each, disjoint and sorted. Empty where the cluster does not say.
	PodRanges, ServiceRanges []string
}

// MaxRanges is how many prefixes a cluster is told of for one purpose.
const MaxRanges = 64

// Standing is what the owner of a cluster tells the zone's leader: of the cluster itself, with Health; of one application
// in it, with Status; or where one is ready in it, with Location, which has no epoch and no sequence yet.
type Standing struct {
	Cluster string
	// Epoch and Fence are the owner's fence: of two owners, the one with the higher is believed.
	Epoch uint64
	Fence int64

	Status *Status
	// Replicas are those of the binding that Status is about.
	Replicas int32
	// Assumed: the cluster's agent has not told this owner how the application stands. What another owner was told before
	// is worth more.
	Assumed bool

	Health *Health
	// Told, with Health: the cluster's agent is connected and has told all, Locations locations among it.
	Told      bool
	Locations int32

	Location *Location
}
