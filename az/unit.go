package az

import (
	"cmp"
	"strings"

	"github.com/meridian-federation/meridian/internal/mesh"
	"github.com/meridian-federation/meridian/internal/record"
)

// unitID names a unit of compilation: cluster × application, or with no application cluster × namespace, or with neither
// the cluster's root.
type unitID struct {
	cluster, namespace, application string
}

// app is NAMESPACE/APPLICATION.
func (u unitID) app() string { return record.ServiceName(u.namespace, u.application) }

// unit is one unit's last good output. Every object has one unit that writes it.
type unit struct {
	id      unitID
	objects []mesh.Object
	// The rest is of applications alone.
	binding record.Binding
	// made is what objects come from; nil until the first compilation succeeds.
	made *compiled
	// traits are what the application's namespace gets from it.
	traits traits
	// wants is the revision that the binding names.
	wants record.Key
	// problem is why the binding's revision is not what objects come from.
	problem *record.Problem
}

// traits are what a namespace's object is made of.
type traits struct {
	environment, tenant string
	adopt               bool
}

// current tells whether the objects are those of the binding in force.
func (u *unit) current() bool { return u.made != nil && u.problem == nil }

func (u unitID) compare(o unitID) int {
	return cmp.Or(strings.Compare(u.cluster, o.cluster), strings.Compare(u.namespace, o.namespace),
		strings.Compare(u.application, o.application))
}
