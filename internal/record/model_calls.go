package record

import "time"

// Policy says who may call an application: what any of its rules allows, and, unless it is isolated, every application of
// its own namespace.
type Policy struct {
	Namespace   string
	Application string
	Environment string
	// TrustDomain is the one of the environment's identities.
	TrustDomain string
	Rules       []Rule
	// IsolatedBy names the AccessPolicies that take away what is allowed inside one namespace, sorted.
	IsolatedBy []string
}

// Rule is what one rule of an AccessPolicy allows. An empty list of ports, methods or paths means any.
type Rule struct {
	// Policy and Index name the rule: the AccessPolicy, and the place in its list.
	Policy string
	Index  int32
	// Callers are sorted by namespace and application.
	Callers []Caller
	// Ports are the Service's.
	Ports   []int32
	Methods []string
	Paths   []string
}

// Caller is an application, or with an empty one every application of a namespace.
type Caller struct {
	Namespace, Application string
}

// MaxAudience is the most namespaces that an Audience names: past it, it is everyone.
const MaxAudience = 50

// Audience is who depends on an application, as far as its visibility hangs on that.
type Audience struct {
	Namespace   string
	Application string
	// Namespaces of all that depend on it, sorted; none with Everyone.
	Namespaces []string
	Everyone   bool
	// Zones that applications which depend on it are assigned to, and the networks of these zones' clusters; sorted.
	Zones    []string
	Networks []string
}

// Place is a cluster as those on other networks and under other istiods find it.
type Place struct {
	Cluster      string
	Region, Zone string
	Network      string
	// Gateways are the addresses of the east-west gateway.
	Gateways []string
	// Primary is the cluster whose istiod knows this one's endpoints by itself; its own name where that is its own.
	Primary string
	// Meshless: no pod of the cluster has a proxy, so that nothing there is called from other clusters.
	Meshless bool
	// StaleSince is when the cluster, or its zone, was lost; zero while it is heard of.
	StaleSince time.Time
}

// MaxEndpoints bounds the addresses of one Location.
const MaxEndpoints = 100

// Location is what is ready of an application in one cluster. On a network that pods share directly there is, besides
// the one with the counts, one for each chunk of addresses.
type Location struct {
	Namespace, Application string
	Cluster                string
	// Chunk is empty, or the name of a chunk of addresses: a DNS label.
	Chunk        string
	Zone, Region string
	// Epoch and Sequence order what the zone said of this location: of one epoch, the higher sequence is later.
	Epoch    uint64
	Sequence uint64
	// Ready counts endpoints by version, sorted by it; an application without versions has the one "". Empty in a chunk.
	Ready []Ready
	// Endpoints are a chunk's, sorted by address, at most MaxEndpoints.
	Endpoints []Endpoint
}

// Ready counts the ready endpoints of one version.
type Ready struct {
	Version   string
	Endpoints int32
}

// Endpoint is one ready pod.
type Endpoint struct {
	Address string
	Version string
}

// Total is the number of ready endpoints over all versions.
func (l Location) Total() int32 {
	var n int32
	for _, r := range l.Ready {
		n += r.Endpoints
	}
	return n
}

// Late tells whether this was said before what is held of the same location, and must not overwrite it.
func (l Location) Late(held Location) bool {
	return l.Epoch == held.Epoch && l.Sequence < held.Sequence
}
