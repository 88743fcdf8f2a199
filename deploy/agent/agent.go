// Package agent holds the manifests that a cluster needs before its Meridian agent can work. Its test holds the role
// against the kinds that agents manage. Whoever sets up clusters may import it.
package agent

import _ "embed" // for the manifests

//go:generate go run ./generate rbac.yaml

//go:embed rbac.yaml
var rbac []byte

//go:embed confine.yaml
var confinement []byte

// Confinement is an admission policy, YAML, that holds an agent to its task where a role cannot. It is an operator's to
// install; the agent works the same with it and without.
func Confinement() []byte { return confinement }

// RBAC are the manifests, YAML, of the agent's namespace, account, role and bindings. The binding's subjects are the
// account and the group meridian:agents, for agents that run outside their cluster.
func RBAC() []byte { return rbac }
