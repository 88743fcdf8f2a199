package mesh

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Object is one compiled object. The record's content is the object's final JSON, marks included.
type Object struct {
	ID     object.ID
	Record record.Record
}

// draft is an object without its marks.
type draft struct {
	id object.ID
	// application is the name of the application that the object belongs to; empty for none.
	application string
	adopt       bool
	labels      map[string]string
	annotations map[string]string
	// metadata holds further fields of metadata, such as finalizers.
	metadata map[string]any
	// body holds the fields beside apiVersion, kind and metadata. Neither it nor what it refers to is written to.
	body map[string]any
}

// seal adds the marks and the version.
func (d draft) seal() Object {
	labels := make(map[string]string, len(d.labels)+2)
	labels[object.LabelManaged] = object.ManagedValue
	maps.Copy(labels, d.labels)
	if d.application != "" {
		labels[object.LabelApplication] = d.application
	}
	self := d.id.String()
	annotations := make(map[string]string, len(d.annotations)+2)
	annotations[object.AnnotationSelf] = self
	maps.Copy(annotations, d.annotations)
	if d.adopt {
		annotations[object.AnnotationAdopt] = "true"
	}
	metadata := make(map[string]any, len(d.metadata)+4)
	metadata["name"], metadata["labels"], metadata["annotations"] = d.id.Name, labels, annotations
	if d.id.Namespace != "" {
		metadata["namespace"] = d.id.Namespace
	}
	maps.Copy(metadata, d.metadata)
	root := make(map[string]any, len(d.body)+3)
	root["apiVersion"], root["kind"], root["metadata"] = d.id.GVK().GroupVersion().String(), d.id.Kind, metadata
	maps.Copy(root, d.body)
	content, version := encodeVersioned(root, self)
	return Object{ID: d.id, Record: record.Record{Key: d.id.Key(), Version: version, Content: content}}
}

// encodeVersioned writes the object without its version mark, hashes that, and puts the mark where it belongs in the order
// of annotations: after the mark that names the object itself, of which metadata holds no second one, because no one else
// may use its name there.
func encodeVersioned(root map[string]any, self string) ([]byte, record.Version) {
	content := make([]byte, 0, 1024)
	at := 0
	for _, field := range slices.Sorted(maps.Keys(root)) {
		content = append(appendString(append(content, ','), field), ':')
		start := len(content)
		content = appendJSON(content, root[field])
		if field == "metadata" {
			mark := appendString([]byte(`"`+object.AnnotationSelf+`":`), self)
			at = start + bytes.Index(content[start:], mark) + len(mark)
		}
	}
	content[0] = '{'
	content = append(content, '}')
	version := record.VersionOf(content)
	return slices.Concat(content[:at], []byte(`,"`+object.AnnotationVersion+`":"`+version.String()+`"`), content[at:]), version
}

// compareIDs orders objects as they are applied, and by kind and name among equals.
func compareIDs(a, b object.ID) int {
	return cmp.Or(
		cmp.Compare(object.ClassOf(a.Group, a.Kind), object.ClassOf(b.Group, b.Kind)),
		cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func sortObjects(objects []Object) {
	slices.SortFunc(objects, func(a, b Object) int { return compareIDs(a.ID, b.ID) })
}

// idOf names an object of a kind that the compiler itself writes.
func idOf(group, version, kind, namespace, name string) object.ID {
	return object.ID{Group: group, Version: version, Kind: kind, Namespace: namespace, Name: name}
}
