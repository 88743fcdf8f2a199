// Package changes holds the admission policies by which the API server that holds the resources notes who last changed a
// spec, in an annotation that nobody can set, keep or remove by hand. Global reads it for the audit log. Whoever sets up
// that server, a kube-apiserver of 1.36 or later, may import it.
package changes

import _ "embed" // for the manifests

//go:embed changed-by.yaml
var policies []byte

// Policies are the admission policies with their bindings, YAML.
func Policies() []byte { return policies }
