package mesh

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// clusterDomain is the DNS domain of every cluster's Services.
const clusterDomain = "svc.cluster.local"

// reservedNamespaces belong to Kubernetes, Istio and Meridian themselves. Istio refuses Sidecars with a selector in its
// root namespace, and an application in the others could take the cluster down.
var reservedNamespaces = []string{"istio-system", "kube-node-lease", "kube-public", "kube-system", "meridian-system"}

// isLabel tells whether s is a DNS label (RFC 1123), as validation.IsDNS1123Label does, without building reasons.
func isLabel(s string) bool {
	if len(s) == 0 || len(s) > validation.DNS1123LabelMaxLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isName tells whether s is a DNS label that begins with a letter (RFC 1035), as names of Services are.
func isName(s string) bool { return isLabel(s) && (s[0] < '0' || s[0] > '9') }

func checkNames(namespace, name string) error {
	if !isLabel(namespace) {
		return invalidSpec("metadata.namespace", "%q is not a DNS label", namespace)
	}
	if slices.Contains(reservedNamespaces, namespace) {
		return invalidSpec("metadata.namespace", "no application can be in %s, which is the platform's own; move it to another namespace",
			namespace)
	}
	if !isName(name) || len(name) > v1alpha1.MaxApplicationName {
		return invalidSpec("metadata.name", "%q is not a DNS-1035 label (lower-case letters, digits and '-', beginning with a letter) of at most %d characters",
			name, v1alpha1.MaxApplicationName)
	}
	if name == "default" {
		return invalidSpec("metadata.name", "every namespace has a ServiceAccount named default already; choose another name")
	}
	if namespace == "default" && name == "kubernetes" {
		return invalidSpec("metadata.name", "the Service kubernetes in namespace default is the API server's; choose another name")
	}
	return nil
}

// hostOf is the name of an application's Service in every cluster.
func hostOf(namespace, application string) string {
	return application + "." + namespace + "." + clusterDomain
}

// cutName reads NAMESPACE/APPLICATION.
func cutName(name string) (namespace, application string, err error) {
	namespace, application, ok := strings.Cut(name, "/")
	if !ok || !isLabel(namespace) || !isName(application) {
		return "", "", fmt.Errorf("%q is not NAMESPACE/APPLICATION", name)
	}
	return namespace, application, nil
}

// dependencyHost is the egress host, in the form NAMESPACE/HOST, of a dependency's Service.
func dependencyHost(dependency string) (string, error) {
	namespace, application, err := cutName(dependency)
	if err != nil {
		return "", fmt.Errorf("dependency %w", err)
	}
	return namespace + "/" + hostOf(namespace, application), nil
}

// checkHost takes exact hosts alone: one wildcard has istiod scan every visible service for every proxy.
func checkHost(host string) error {
	namespace, name, ok := strings.Cut(host, "/")
	if !ok || !isLabel(namespace) || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("platform host %q is not NAMESPACE/HOST with an exact host", host)
	}
	return nil
}

// checkExportTo checks the annotation's grammar: a list, separated by commas, of namespaces, or one of ".", "*", "~".
// The API server does not look at it, and istiod takes what it cannot read as an error of its own.
func checkExportTo(value string) error {
	parts := strings.Split(value, ",")
	for _, part := range parts {
		part = strings.TrimSpace(part)
		switch {
		case part == ".":
		case (part == "*" || part == "~") && len(parts) == 1:
		case isLabel(part):
		default:
			return fmt.Errorf("%q is not a namespace, \".\", or \"*\" or \"~\" alone", part)
		}
	}
	return nil
}
