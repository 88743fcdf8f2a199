// Package alerts holds the alerts that ship with Meridian, as PrometheusRules. Its test holds them against the metrics that
// there are and the runbooks that they name. Whoever sets up monitoring may import it.
package alerts

import _ "embed" // for the manifests

//go:embed ipam.yaml
var ipam []byte

// IPAM is the PrometheusRule about address space, YAML.
func IPAM() []byte { return ipam }
