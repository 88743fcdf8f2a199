package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meridian-federation/meridian/internal/object"
)

// reservedPrefix is that of Meridian's own labels and annotations.
const reservedPrefix = "meridian.dev/"

// serverFields of metadata are written by API servers. They come along when a manifest is copied from a cluster, mean
// nothing in another, and are dropped.
var serverFields = []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
	"deletionGracePeriodSeconds", "managedFields", "selfLink", "namespace", "name", "labels", "annotations"}

// controllerNames are ConfigMaps that a controller keeps in every namespace.
var controllerNames = []string{"kube-root-ca.crt", "istio-ca-root-cert"}

// carry compiles the application's further objects.
func (s *Spec) carry(resources []runtime.RawExtension) error {
	if len(resources) == 0 {
		return nil
	}
	seen := map[object.ID]string{}
	for _, own := range s.ids {
		seen[own] = "the application itself"
	}
	for _, own := range s.fixed {
		seen[own.ID] = "the application itself"
	}
	for i, raw := range resources {
		field := fmt.Sprintf("spec.resources[%d]", i)
		d, err := s.resource(field, raw)
		if err != nil {
			return err
		}
		if owner, ok := seen[d.id]; ok {
			return invalidSpec(field+".metadata.name", "%s is written by %s already; choose another name", d.id.Short(), owner)
		}
		seen[d.id] = field
		s.autoscaled = s.autoscaled || d.id.Kind == "HorizontalPodAutoscaler"
		s.fixed = append(s.fixed, d.seal())
	}
	return nil
}

func (s *Spec) resource(field string, raw runtime.RawExtension) (draft, error) {
	content, err := raw.MarshalJSON()
	if err != nil {
		return draft{}, invalidSpec(field, "it cannot be read: %v", err)
	}
	var body map[string]any
	if err := kjson.Unmarshal(content, &body); err != nil || body == nil {
		return draft{}, invalidSpec(field, "it is not an object with apiVersion, kind and metadata")
	}
	dropNulls(body)
	id, err := s.resourceID(field, body)
	if err != nil {
		return draft{}, err
	}
	d := s.draft(id, nil)
	d.body = body
	if err := d.takeMetadata(field); err != nil {
		return draft{}, err
	}
	return d, s.restrict(field, &d)
}

// resourceID reads the kind, which must be allowed, and the name.
func (s *Spec) resourceID(field string, body map[string]any) (object.ID, error) {
	apiVersion, _ := body["apiVersion"].(string)
	kind, _ := body["kind"].(string)
	var id object.ID
	var allowed []string
	for _, m := range object.Kinds() {
		if !m.Carried {
			continue
		}
		allowed = append(allowed, fmt.Sprintf("%s (%s)", m.Kind, m.GroupVersion()))
		if m.Kind == kind && m.GroupVersion().String() == apiVersion {
			id = object.ID{Group: m.Group, Version: m.Version, Kind: m.Kind, Namespace: s.namespace}
		}
	}
	if id.Kind == "" {
		return id, notAllowed(field+".kind", "kind %q of apiVersion %q is not allowed; allowed are %s",
			kind, apiVersion, strings.Join(allowed, ", "))
	}
	metadata, _ := body["metadata"].(map[string]any)
	id.Name, _ = metadata["name"].(string)
	valid := validation.IsDNS1123Subdomain
	if kind == "Service" {
		valid = validation.IsDNS1035Label
	}
	switch {
	case id.Name == "":
		return id, invalidSpec(field+".metadata.name", "it is missing; each resource needs a fixed name")
	case len(valid(id.Name)) > 0:
		return id, invalidSpec(field+".metadata.name", "%q cannot be the name of a %s: %s", id.Name, kind, valid(id.Name)[0])
	case kind == "ConfigMap" && slices.Contains(controllerNames, id.Name):
		return id, invalidSpec(field+".metadata.name", "a controller keeps ConfigMap %s in every namespace; choose another name", id.Name)
	case kind == "Service" && s.namespace == "default" && id.Name == "kubernetes":
		return id, invalidSpec(field+".metadata.name", "the Service kubernetes in namespace default is the API server's; choose another name")
	}
	if ns, ok := metadata["namespace"]; ok && ns != s.namespace {
		return id, invalidSpec(field+".metadata.namespace", "it is %q but must be the application's, %s; leave it out or change it", ns, s.namespace)
	}
	return id, nil
}

// takeMetadata moves the manifest's metadata from the body to the draft.
func (d *draft) takeMetadata(field string) error {
	field += ".metadata"
	metadata, _ := d.body["metadata"].(map[string]any)
	if _, ok := metadata["ownerReferences"]; ok {
		return invalidSpec(field+".ownerReferences", "owners are named by UID, which differs in every cluster; leave them out")
	}
	var err error
	if d.labels, err = marksOf(field+".labels", metadata["labels"], validation.IsValidLabelValue); err != nil {
		return err
	}
	anything := func(string) []string { return nil }
	if d.annotations, err = marksOf(field+".annotations", metadata["annotations"], anything); err != nil {
		return err
	}
	delete(d.annotations, "kubectl.kubernetes.io/last-applied-configuration")
	d.metadata = maps.Clone(metadata)
	for _, name := range serverFields {
		delete(d.metadata, name)
	}
	for _, name := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(d.body, name)
	}
	return nil
}

// marksOf reads labels or annotations.
func marksOf(field string, v any, check func(string) []string) (map[string]string, error) {
	if v == nil {
		return nil, nil
	}
	marks, ok := v.(map[string]any)
	if !ok {
		return nil, invalidSpec(field, "it is not a map of strings")
	}
	out := make(map[string]string, len(marks))
	for _, key := range slices.Sorted(maps.Keys(marks)) {
		value, ok := marks[key].(string)
		if !ok {
			return nil, invalidSpec(field, "the value of %s is not a string; put it in quotes", key)
		}
		if strings.HasPrefix(key, reservedPrefix) {
			return nil, invalidSpec(field, "%s is Meridian's own; leave it out", key)
		}
		if problems := append(validation.IsQualifiedName(strings.ToLower(key)), check(value)...); len(problems) > 0 {
			return nil, invalidSpec(field, "%s: %q is not valid: %s", key, value, problems[0])
		}
		out[key] = value
	}
	return out, nil
}
