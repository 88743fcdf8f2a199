package object

import (
	"strings"

	"github.com/meridian-federation/meridian/internal/record"
)

// Class is a step of the order of application: lower classes are applied first and removed last.
type Class int

// The classes: what others refer to comes before what refers to it. Who may call comes before what can be called, and
// both before what shows it to callers: nothing is ever reachable before the policy that guards it. Workloads come last,
// so that a pod finds its account, its configuration and its mesh rules.
const (
	ClassNamespace Class = iota
	ClassAccount
	ClassConfig
	ClassPolicy
	ClassService
	ClassMesh
	ClassWorkload
	classes
)

// Classes is the number of classes.
const Classes = int(classes)

// ClassOf sorts a kind into its class. Kinds that it does not know are configuration.
func ClassOf(group, kind string) Class {
	switch {
	case group == "" && kind == "Namespace":
		return ClassNamespace
	case group == "" && kind == "ServiceAccount":
		return ClassAccount
	case group == "" && kind == "Service":
		return ClassService
	case group == "security.istio.io", group == "networking.k8s.io":
		return ClassPolicy
	case group == "networking.istio.io":
		return ClassMesh
	case group == "apps", group == "batch", group == "autoscaling":
		return ClassWorkload
	default:
		return ClassConfig
	}
}

// RunsPods tells whether objects of a kind have pods, which run until the object and all below it are gone. Agents delete
// such objects in the foreground, and nothing that belongs to them earlier.
func RunsPods(group, kind string) bool {
	return ClassOf(group, kind) == ClassWorkload && group != "autoscaling"
}

// Rank orders record keys by class, for a feed that has many objects to send; keys that are not objects come first.
func Rank(key record.Key) int {
	group, rest, _ := strings.Cut(key.Name, "/")
	_, rest, _ = strings.Cut(rest, "/")
	kind, _, ok := strings.Cut(rest, "/")
	if key.Kind != record.KindObject || !ok {
		return -1
	}
	if group == "core" {
		group = ""
	}
	return int(ClassOf(group, kind))
}
