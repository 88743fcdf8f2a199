package clusteragent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// manifest is a compiled object as it was received, and where its metadata begins.
type manifest struct {
	content []byte
	// at is the offset just behind the brace that opens metadata.
	at          int
	application string
	adopt       bool
	// replicas: the spec of a workload sets them.
	replicas bool
	// account is the service account that a workload's pods run as; empty for none that is named.
	account string
}

// podTemplate is what the agent reads of a template in a workload's spec.
type podTemplate struct {
	Spec struct {
		ServiceAccountName string `json:"serviceAccountName"`
		// ServiceAccount is the old spelling, which counts where the other is empty.
		ServiceAccount string `json:"serviceAccount"`
	} `json:"spec"`
}

func (t podTemplate) account() string {
	return cmp.Or(t.Spec.ServiceAccountName, t.Spec.ServiceAccount)
}

// head is what the agent reads of a manifest.
type head struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// parseManifest checks that the content is the object that its key names and carries Meridian's marks: without them the
// agent would not know the object as its own after a restart.
func parseManifest(id object.ID, version record.Version, content []byte) (manifest, error) {
	m := manifest{content: content}
	var apiVersion, kind string
	var h head
	fields := func(dec *json.Decoder, name string) (err error) {
		switch name {
		case "apiVersion":
			err = dec.Decode(&apiVersion)
		case "kind":
			err = dec.Decode(&kind)
		case "metadata":
			h, m.at, err = parseHead(dec, content)
		case "spec":
			if object.RunsPods(id.Group, id.Kind) {
				err = m.readWorkload(dec)
				break
			}
			var skipped json.RawMessage
			err = dec.Decode(&skipped)
		default:
			var skipped json.RawMessage
			err = dec.Decode(&skipped)
		}
		return err
	}
	if err := eachField(content, fields); err != nil {
		return m, fmt.Errorf("reading the manifest of %s: %w", id.Short(), err)
	}
	wantVersion, wantKind := id.GVK().ToAPIVersionAndKind()
	if apiVersion != wantVersion || kind != wantKind || h.Name != id.Name || h.Namespace != id.Namespace {
		return m, fmt.Errorf("the manifest is of %s %s %s/%s", apiVersion, kind, h.Namespace, h.Name)
	}
	if h.Labels[object.LabelManaged] != object.ManagedValue || h.Annotations[object.AnnotationSelf] != id.String() ||
		h.Annotations[object.AnnotationVersion] != version.String() {
		return m, errors.New("the manifest does not carry Meridian's marks for this object and version")
	}
	m.application = h.Labels[object.LabelApplication]
	m.adopt = h.Annotations[object.AnnotationAdopt] == "true"
	return m, nil
}

// readWorkload reads the spec of an object that runs pods.
func (m *manifest) readWorkload(dec *json.Decoder) error {
	var spec struct {
		Replicas    json.RawMessage `json:"replicas"`
		Template    podTemplate     `json:"template"`
		JobTemplate struct {
			Spec struct {
				Template podTemplate `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	}
	if err := dec.Decode(&spec); err != nil {
		return err
	}
	m.replicas = len(spec.Replicas) > 0
	m.account = cmp.Or(spec.Template.account(), spec.JobTemplate.Spec.Template.account())
	return nil
}

// eachField calls f at the value of each field of a JSON object; f consumes the value.
func eachField(content []byte, f func(*json.Decoder, string) error) error {
	dec := json.NewDecoder(bytes.NewReader(content))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("not a JSON object"), err)
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if err := f(dec, t.(string)); err != nil { // a JSON object's keys are strings, or Token has failed
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func parseHead(dec *json.Decoder, content []byte) (h head, at int, err error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return h, 0, err
	}
	if len(raw) == 0 || raw[0] != '{' {
		return h, 0, errors.New("metadata is not an object")
	}
	at = int(dec.InputOffset()) - len(raw) + 1
	if content[at-1] != '{' {
		return h, 0, errors.New("metadata cannot be found again")
	}
	return h, at, json.Unmarshal(raw, &h)
}

// noResourceVersion is one that no object has: what is applied with it is created, or meets a conflict.
const noResourceVersion = "1"

// only is the manifest with one more field of metadata, which holds the write to the object that is meant: `"uid"` to one
// that exists, `"resourceVersion"` with noResourceVersion to none that exists. The API server answers a conflict, or calls
// the field immutable, where that is not so, and keeps neither in the managed fields.
func (m manifest) only(field, value string) []byte {
	guard := fmt.Sprintf("%q:%q,", field, value)
	return slices.Concat(m.content[:m.at], []byte(guard), m.content[m.at:])
}
