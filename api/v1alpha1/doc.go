// Package v1alpha1 holds Meridian's custom resources, group meridian.dev, as Go
// types: what people write at Global, and the status that Global writes back.
//
// Invariants: a field that nothing obeys does not appear; whatever one object
// can show to be wrong is refused by its schema (patterns, bounds, CEL rules),
// and what needs the whole becomes a condition with one of the reasons listed
// in names.go; the size of every status is bounded and independent of the
// number of clusters. The CRDs in api/crds and the deep copies are generated
// from this package by `make generate`.
//
// Every package may import it. It imports Kubernetes API types only.
//
// +kubebuilder:object:generate=true
// +groupName=meridian.dev
package v1alpha1
