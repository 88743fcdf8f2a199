// Package compile turns a zone's records into the objects of the clusters that a shard owns, unit by unit, so that a
// change costs in proportion to the units that it concerns. What it holds after any series of changes is, byte for byte,
// what compiling the last state from scratch would give, but for units whose references have not arrived: those keep
// their last good output.
//
// A unit is one of
//
//	workload   cluster × application bound to it
//	config     istiod × application bound in its group: the Sidecar and the AuthorizationPolicy
//	stub       cluster × application that is called there and does not run there
//	callee     istiod × application that is called in its group: how it is found elsewhere; or × ExternalService
//	chunk      istiod × application that is called in its group × chunk of its addresses elsewhere
//	namespace  cluster × namespace of any of these
//	gateway    istiod × part of the exported hosts: an east-west Gateway
//	root       istiod: the Sidecar of the mesh's root namespace
//
// What a policy takes away waits for nothing: a unit that cannot be compiled follows it all the same. And between clusters that
// share an istiod there is an order (order.go), which takes what agents acknowledge (Hear).
//
// An istiod stands for the clusters that it configures, its group: it is named by the cluster that it runs in, their
// primary, and what it reads is compiled into that cluster alone. Every object has one unit that writes it.
//
// The package knows no store's transport and no clock, and leaves no goroutine behind: az's shard feeds it, and the
// harnesses of scale-tests.
package compile
