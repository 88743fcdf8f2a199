package mesh

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	labels := map[string]string{object.LabelManaged: object.ManagedValue}
	maps.Copy(labels, d.labels)
	if d.application != "" {
		labels[object.LabelApplication] = d.application
	}
	annotations := map[string]string{object.AnnotationSelf: d.id.String()}
	maps.Copy(annotations, d.annotations)
	if d.adopt {
		annotations[object.AnnotationAdopt] = "true"
	}
	metadata := map[string]any{"name": d.id.Name, "labels": labels, "annotations": annotations}
	if d.id.Namespace != "" {
		metadata["namespace"] = d.id.Namespace
	}
	maps.Copy(metadata, d.metadata)
	root := map[string]any{"apiVersion": d.id.GVK().GroupVersion().String(), "kind": d.id.Kind, "metadata": metadata}
	maps.Copy(root, d.body)
	content, version := encodeVersioned(root, annotations)
	return Object{ID: d.id, Record: record.Record{Key: d.id.Key(), Version: version, Content: content}}
}

// encodeVersioned writes the object with a blank version mark, hashes what is around the mark, and fills it in: an
// object is encoded once. The mark follows AnnotationSelf, so a comma comes before it, and metadata holds no second one
// because no one else may use its name there.
func encodeVersioned(root map[string]any, annotations map[string]string) ([]byte, record.Version) {
	annotations[object.AnnotationVersion] = record.Version{}.String()
	mark := []byte(`,"` + object.AnnotationVersion + `":"` + record.Version{}.String() + `"`)
	var content []byte
	at := 0
	for _, field := range slices.Sorted(maps.Keys(root)) {
		content = append(content, ',')
		content = append(content, encode(field)...)
		content = append(content, ':')
		value := encode(root[field])
		if field == "metadata" {
			at = len(content) + bytes.Index(value, mark)
		}
		content = append(content, value...)
	}
	content[0] = '{'
	content = append(content, '}')

	version := record.VersionOf(slices.Concat(content[:at], content[at+len(mark):]))
	copy(content[at+len(mark)-len(`"`)-hex.EncodedLen(len(version)):], version.String())
	return content, version
}

// encode writes canonical JSON: sorted keys, no white space, nothing escaped that need not be. It panics on values that
// JSON cannot express, which none of the drafts holds.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("encoding a compiled object: %v", err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
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
