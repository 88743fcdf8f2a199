// Package policy decides calls by policy records: who may call an application, and which rule says so.
//
// It is the one reading of a record.Policy in words of Meridian; the AuthorizationPolicy that internal/mesh compiles says
// the same to Istio. A call is allowed if any rule allows it, or if it stays inside one namespace and no AccessPolicy
// takes that away. What is not known is not allowed. The package is pure, and anybody may import it.
package policy
