package mesh

import (
	"bytes"
	"cmp"
	"encoding/json"
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
	// spec is that of an object which the compiler makes up; nil is none.
	spec any
	// body holds further fields beside apiVersion, kind and metadata. Neither it nor what it refers to is written to.
	body map[string]any
}

// seal adds the marks and the version. What the draft brings along has no marks: they are reserved.
func (d draft) seal() Object {
	self := d.id.String()
	labels := make(fields, 0, len(d.labels)+2)
	labels = append(labels, field{object.LabelManaged, object.ManagedValue})
	if d.application != "" {
		labels = append(labels, field{object.LabelApplication, d.application})
	}
	for key, value := range d.labels {
		labels = append(labels, field{key, value})
	}
	annotations := make(fields, 0, len(d.annotations)+2)
	annotations = append(annotations, field{object.AnnotationSelf, self})
	if d.adopt {
		annotations = append(annotations, field{object.AnnotationAdopt, "true"})
	}
	for key, value := range d.annotations {
		annotations = append(annotations, field{key, value})
	}
	metadata := make(fields, 0, len(d.metadata)+4)
	metadata = append(metadata, field{"name", d.id.Name}, field{"labels", labels}, field{"annotations", annotations})
	if d.id.Namespace != "" {
		metadata = append(metadata, field{"namespace", d.id.Namespace})
	}
	for key, value := range d.metadata {
		metadata = append(metadata, field{key, value})
	}
	root := make(fields, 0, len(d.body)+4)
	root = append(root, field{"apiVersion", d.id.GVK().GroupVersion().String()}, field{"kind", d.id.Kind}, field{"metadata", metadata})
	if d.spec != nil {
		root = append(root, field{"spec", d.spec})
	}
	for key, value := range d.body {
		root = append(root, field{key, value})
	}
	room := 1024
	if spec, ok := d.spec.(json.RawMessage); ok {
		room += len(spec)
	}
	content, version := encodeVersioned(make([]byte, 0, room), root, self)
	return Object{ID: d.id, Record: record.Record{Key: record.Key{Kind: record.KindObject, Name: self}, Version: version, Content: content}}
}

// encodeVersioned writes the object without its version mark, hashes that, and puts the mark where it belongs in the order
// of annotations: after the mark that names the object itself, of which metadata holds no second one, because no one else
// may use its name there.
func encodeVersioned(content []byte, root fields, self string) ([]byte, record.Version) {
	sortFields(root)
	at := 0
	for _, f := range root {
		content = append(appendString(append(content, ','), f.key), ':')
		start := len(content)
		content = appendJSON(content, f.value)
		if f.key == "metadata" {
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
