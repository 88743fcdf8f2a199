// Package localkube starts real Kubernetes clusters on this machine without a
// container runtime: a kube-apiserver with etcd inside it, and, unless the API
// server alone is wanted, the controllers, the scheduler and kwok's simulated
// nodes and pods. The programs come from deploy/localkube and deploy/localkube/kwok,
// which Build compiles once for all users of this checkout.
//
// A cluster is its folder: certificates, tokens, port and data are kept there,
// and Start on the same folder brings the same cluster back. Everything listens
// on loopback. Stop leaves no process.
//
// Used by meridian up, the integration tests and the benchmarks; no tier imports
// it.
package localkube
