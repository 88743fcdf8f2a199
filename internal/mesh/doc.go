// Package mesh compiles records to the Kubernetes and Istio objects of one cluster.
//
// Its functions are pure: no clock, no I/O, and the same input gives the same bytes, whatever the order of the input's
// lists and maps. What they write obeys package object: the marks, the key, and a version that is the hash of the
// object's bytes without the version mark. A change that does not concern an object leaves its bytes as they are; in
// particular a Deployment depends on the pod template, the replicas and the cluster's data plane, and on nothing else,
// so that no other change restarts pods.
//
// What is compiled, and for whom:
//
//	Workload   what runs, into the cluster where it runs, with the NetworkPolicy and the Service
//	Stub       the Service of what is called from a cluster and does not run there
//	Namespace  into each cluster that runs or calls something of it; strict where an istiod looks after it
//	Config     an application's own proxies, once for each istiod: Sidecar and AuthorizationPolicy
//	Callee     what an istiod's proxies call: DestinationRule, and the gateways of other networks
//	Chunk      some of its pods in another cluster of the network
//	External   what an istiod's proxies call outside the mesh: ServiceEntry and DestinationRules
//	Gateway    the hosts that a cluster's east-west gateway hands on
//	Root       the Sidecar of pods that Meridian does not manage
//
// Endpoints of other clusters have a file for each topology: gateway.go where networks meet at gateways, flat.go where
// pods reach each other. Between clusters that share an istiod nothing is written.
//
// Who may call is the policy record's alone. The AuthorizationPolicy and the NetworkPolicy say the same of it, as far as a
// network can: it knows ports and pods, and no requests or, of other clusters, no identities. So it lets in where some call
// is allowed and a proxy decides which, and without a mesh only where every call is allowed.
//
// Objects are named by their application, those of which there are several with a hash behind that. What is of an
// ExternalService has ".external" behind its name, and what callers need for one ".calls" behind theirs: no application has a
// dot in its name, so no two of a namespace ever write the same object.
//
// What Istio's schemas do not catch (the grammar of hosts and of exportTo, hosts that must not be empty, target ports
// that must be numbers, names where addresses belong, stars in identities) cannot be written: it is an error here, and
// Check reports it before a spec is accepted.
//
// Global imports mesh for Check and Normalise, the zone's shards for the rest. It imports no tier.
package mesh

import (
	"errors"
	"fmt"
)

// Generation numbers what this compiler writes. Output for an old spec may change only under a new number, because a
// changed pod template restarts pods: a new generation is rolled out like a new revision.
const Generation uint32 = 1

// ErrGeneration says that a binding asks for a compiler generation that this release does not have.
var ErrGeneration = errors.New("unknown compiler generation")

func checkGeneration(generation uint32) error {
	if generation != Generation {
		return fmt.Errorf("%w %d, this release has %d", ErrGeneration, generation, Generation)
	}
	return nil
}
