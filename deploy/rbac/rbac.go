// Package rbac holds the ClusterRoles of the people who work with Meridian, and the roles of Global's own account, for the
// API server that holds the resources. Its test holds what each role may do, and may not. Whoever sets up that server may
// import it.
//
// A platform admin is bound by a ClusterRoleBinding. A tenant's admins and viewers are bound by RoleBindings in the
// tenant's namespaces, and have nothing outside them.
package rbac

import _ "embed" // for the manifests

//go:embed roles.yaml
var roles []byte

//go:embed global.yaml
var account []byte

// Names of the ClusterRoles.
const (
	PlatformAdmin = "meridian-platform-admin"
	TenantAdmin   = "meridian-tenant-admin"
	TenantViewer  = "meridian-tenant-viewer"
)

// GlobalGroup has Global's user as its member, where that is no service account of the server's own cluster.
const GlobalGroup = "meridian:global"

// Roles are the people's ClusterRoles, YAML.
func Roles() []byte { return roles }

// Global are Global's account, its roles and their bindings, YAML.
func Global() []byte { return account }
