// Package object says what a Kubernetes object that Meridian manages looks like: how it is named in a record key, the
// marks that make it Meridian's, and the order in which objects are applied. The compiler writes by these rules and
// the cluster agent reads by them; nobody else needs to know them. It knows no tier and talks to no server.
package object

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meridian-federation/meridian/internal/record"
)

// FieldManager is Meridian's name in server-side apply.
const FieldManager = "meridian"

// The marks of a managed object. All of them, and the field manager, are needed before Meridian calls an object its
// own: controllers copy labels, and sometimes annotations, to what they create.
const (
	// LabelManaged is on every managed object, with value ManagedValue, and bounds what an agent lists and watches.
	LabelManaged = "meridian.dev/managed-by"
	// ManagedValue is the value of LabelManaged.
	ManagedValue = "meridian"
	// LabelApplication is the name of the application that the object belongs to; its namespace is the object's.
	LabelApplication = "meridian.dev/application"
	// LabelLocate, on a Service, asks the cluster's agent to report what is ready behind it: "counts" or "addresses".
	// EndpointSlices inherit it, so that an agent watches the slices of such Services alone.
	LabelLocate = "meridian.dev/locate"
	// AnnotationSelf names the object itself, as ID.String does.
	AnnotationSelf = "meridian.dev/object"
	// AnnotationVersion is the record version that was applied: 32 hexadecimal digits.
	AnnotationVersion = "meridian.dev/version"
	// AnnotationAdopt, with value "true", lets an agent take over an object that exists and is nobody's.
	AnnotationAdopt = "meridian.dev/adopt"
)

// ID names one object in a cluster. Namespace is empty for cluster-scoped kinds.
type ID struct {
	Group, Version, Kind string
	Namespace, Name      string
}

// GVK is the object's group, version and kind.
func (id ID) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: id.Group, Version: id.Version, Kind: id.Kind}
}

// String is GROUP/VERSION/KIND/NAMESPACE/NAME, with "core" for the empty group and "-" for no namespace.
func (id ID) String() string {
	group, namespace := id.Group, id.Namespace
	if group == "" {
		group = "core"
	}
	if namespace == "" {
		namespace = "-"
	}
	return strings.Join([]string{group, id.Version, id.Kind, namespace, id.Name}, "/")
}

// Short is KIND NAMESPACE/NAME, for people.
func (id ID) Short() string {
	if id.Namespace == "" {
		return id.Kind + " " + id.Name
	}
	return id.Kind + " " + id.Namespace + "/" + id.Name
}

// ParseID reads what ID.String writes.
func ParseID(s string) (ID, error) {
	p := strings.SplitN(s, "/", 5)
	if len(p) != 5 || p[0] == "" || p[1] == "" || p[2] == "" || p[3] == "" || p[4] == "" {
		return ID{}, fmt.Errorf("object id %q is not GROUP/VERSION/KIND/NAMESPACE/NAME", s)
	}
	id := ID{Group: p[0], Version: p[1], Kind: p[2], Namespace: p[3], Name: p[4]}
	if id.Group == "core" {
		id.Group = ""
	}
	if id.Namespace == "-" {
		id.Namespace = ""
	}
	return id, nil
}

// Key is the object's record key.
func (id ID) Key() record.Key { return record.Key{Kind: record.KindObject, Name: id.String()} }

// FromKey reads an object's record key.
func FromKey(key record.Key) (ID, error) {
	if key.Kind != record.KindObject {
		return ID{}, fmt.Errorf("record %s is not an object", key)
	}
	return ParseID(key.Name)
}
