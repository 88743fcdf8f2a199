// Package audit holds the audit policy of the API server that holds Meridian's resources. Its test holds it on a real one.
// Whoever sets up that server may import it.
package audit

import _ "embed" // for the policy

//go:embed policy.yaml
var policy []byte

// Policy is a Policy of audit.k8s.io/v1, YAML, for the server's --audit-policy-file.
func Policy() []byte { return policy }
