package crds

import (
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/object"
)

// maxBytes leaves an object room in etcd, whose requests end at 1.5 MiB.
const maxBytes = 1 << 20

func TestOneDefinitionForEachResource(t *testing.T) {
	t.Parallel()
	var got, want []string
	for _, crd := range parse(t) {
		got = append(got, crd.Name)
		if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Name != v1alpha1.Version {
			t.Errorf("%s: got versions %v, want only %s", crd.Name, crd.Spec.Versions, v1alpha1.Version)
		}
		if !slices.Contains(crd.Spec.Names.Categories, "meridian") {
			t.Errorf("%s: not in the category meridian", crd.Name)
		}
	}
	for _, r := range v1alpha1.Resources() {
		want = append(want, r.Plural+"."+v1alpha1.Group)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, doc := range All() {
		if len(doc) > maxBytes {
			t.Errorf("a definition has %d bytes, want at most %d", len(doc), maxBytes)
		}
	}
}

// TestEveryFieldIsExplained holds what `kubectl explain` shows. The pod template
// has Kubernetes' own text.
func TestEveryFieldIsExplained(t *testing.T) {
	t.Parallel()
	for _, crd := range parse(t) {
		schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			if property, ok := schema.Properties[part]; ok {
				explained(t, crd.Spec.Names.Kind+"."+part, property)
			}
		}
	}
}

func explained(t *testing.T, path string, schema apiextensions.JSONSchemaProps) {
	t.Helper()
	if strings.TrimSpace(schema.Description) == "" {
		t.Errorf("%s has no description", path)
	}
	properties := schema.Properties
	if schema.Items != nil && schema.Items.Schema != nil {
		properties = schema.Items.Schema.Properties
	}
	for name, property := range properties {
		if name == "template" {
			continue
		}
		explained(t, path+"."+name, property)
	}
}

// TestResourceKinds holds the kinds that a TenantQuota can name against those that Applications can bring.
func TestResourceKinds(t *testing.T) {
	t.Parallel()
	var got, want []string
	for _, crd := range parse(t) {
		if crd.Spec.Names.Kind != "TenantQuota" {
			continue
		}
		kinds := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["resourceKinds"]
		for _, value := range kinds.Items.Schema.Enum {
			got = append(got, strings.Trim(string(value.Raw), `"`))
		}
	}
	for _, k := range object.Kinds() {
		if k.Carried {
			want = append(want, k.Kind)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("a quota can name %v, want %v", got, want)
	}
}

func parse(t *testing.T) []apiextensions.CustomResourceDefinition {
	t.Helper()
	var crds []apiextensions.CustomResourceDefinition
	for _, doc := range All() {
		var crd apiextensions.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(doc, &crd); err != nil {
			t.Fatal(err)
		}
		crds = append(crds, crd)
	}
	return crds
}
