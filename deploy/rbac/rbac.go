// Package rbac holds the ClusterRoles of the people who work with Meridian, for the API server that holds the resources.
// Its test holds what each role may do, and may not. Whoever sets up that server may import it.
//
// A platform admin is bound by a ClusterRoleBinding. A tenant's admins and viewers are bound by RoleBindings in the
// tenant's namespaces, and have nothing outside them.
package rbac

import _ "embed" // for the manifests

//go:embed roles.yaml
var roles []byte

// Names of the ClusterRoles.
const (
	PlatformAdmin = "meridian-platform-admin"
	TenantAdmin   = "meridian-tenant-admin"
	TenantViewer  = "meridian-tenant-viewer"
)

// Roles are the ClusterRoles, YAML.
func Roles() []byte { return roles }
