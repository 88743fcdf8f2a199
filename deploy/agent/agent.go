// Package agent holds the manifests that a cluster needs before its Meridian agent can work. Its test holds the role
// against the kinds that agents manage. Whoever sets up clusters may import it.
package agent

import _ "embed" // for the manifests

//go:generate go run ./generate rbac.yaml

//go:embed rbac.yaml
var rbac []byte

// RBAC are the manifests, YAML, of the agent's namespace, account, role and bindings. The binding's subjects are the
// account and the group meridian:agents, for agents that run outside their cluster.
func RBAC() []byte { return rbac }
