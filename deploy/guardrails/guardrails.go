// Package guardrails holds examples of what an organisation may demand of every Application, as admission policies for the
// API server that holds the resources: images from certain registries, pods without privileges, limits on resources. They
// look at the pod template and at the pods that spec.resources bring. Meridian itself demands none of this: whoever sets up
// that server may apply them, and change them. Their tests hold what each lets through.
package guardrails

import _ "embed" // for the manifests

var (
	//go:embed registries.yaml
	registries []byte
	//go:embed privileges.yaml
	privileges []byte
	//go:embed limits.yaml
	limits []byte
)

// Registries has images come from the registries that a ConfigMap lists, YAML.
func Registries() []byte { return registries }

// Privileges keeps pods from what lets them out of their containers, YAML.
func Privileges() []byte { return privileges }

// Limits has each container say what it needs and what it may take, YAML.
func Limits() []byte { return limits }
