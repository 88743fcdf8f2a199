// Package mesh compiles records to the Kubernetes and Istio objects of one cluster.
//
// Its functions are pure: no clock, no I/O, and the same input gives the same bytes, whatever the order of the input's
// lists and maps. What they write obeys package object: the marks, the key, and a version that is the hash of the
// object's bytes without the version mark. A change that does not concern an object leaves its bytes as they are; in
// particular a Deployment depends on the pod template, the replicas and the cluster's data plane, and on nothing else,
// so that no other change restarts pods.
//
// What Istio's schemas do not catch (the grammar of hosts and of exportTo, hosts that must not be empty, target ports
// that must be numbers) cannot be written: it is an error here, and Check reports it before a spec is accepted.
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
