package cli_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestExport reads a cluster's objects through all tiers: they are those that its agent was sent.
func TestExport(t *testing.T) {
	tr := startTree(t)
	apps := []string{"cart", "redis", "search", "mail"}
	for _, app := range apps { // together more than one page
		tr.ok(application(app, app+":1")+"  resources:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: "+app+"-data}, data: {text: '"+
			strings.Repeat("<", 60<<10)+"'}}\n", "apply", "-f", "-")
	}
	tr.agent.Await(t, "all are sent", func(held map[record.Key]record.Record) bool {
		return !slices.ContainsFunc(apps, func(app string) bool {
			return held[object.ID{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: app}.Key()].Content == nil
		})
	})
	want := map[string]string{}
	for key, r := range tr.agent.Held() {
		want[key.Name] = canonical(t, r.Content)
	}
	documents := strings.Split(tr.ok("", "export", "--cluster", "a1"), "---\n")
	var json []string
	for _, document := range documents {
		b, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		json = append(json, string(b))
	}
	wantObjects(t, "as YAML", json, want)
	lines := strings.Split(strings.TrimSpace(tr.ok("", "export", "--cluster", "a1", "-o", "json")), "\n")
	wantObjects(t, "as JSON", lines, want)
	if kind := lines[0]; !strings.Contains(kind, `"kind":"Namespace"`) || !strings.Contains(lines[len(lines)-1], `"kind":"Deployment"`) {
		t.Errorf("got first %s and last %s, want a Namespace and a Deployment", kind, lines[len(lines)-1])
	}
	plain := tr.ok("", "export", "--cluster", "a1", "--strip-marks")
	for _, mark := range []string{object.LabelManaged + ":", object.AnnotationSelf, object.AnnotationVersion} {
		if strings.Contains(plain, mark) {
			t.Errorf("without marks: %s is there:\n%s", mark, plain)
		}
	}
	wantParts(t, "without marks", plain, "kind: Deployment", "image: cart:1")

	for name, want := range map[string]string{
		"nowhere": "there is no cluster nowhere",
		"":        `required flag(s) "cluster" not set`,
	} {
		args := []string{"export"}
		if name != "" {
			args = append(args, "--cluster", name)
		}
		if r := tr.run("", args...); r.failed == nil || !strings.Contains(r.failed.Error(), want) {
			t.Errorf("cluster %q: got %v, want %q", name, r.failed, want)
		}
	}
}

// wantObjects compares manifests with objects by their own marks.
func wantObjects(t *testing.T, what string, manifests []string, want map[string]string) {
	t.Helper()
	if len(manifests) != len(want) {
		t.Errorf("%s: got %d objects, want %d", what, len(manifests), len(want))
	}
	for _, m := range manifests {
		var o struct {
			Metadata struct{ Annotations map[string]string } `json:"metadata"`
		}
		if err := json.Unmarshal([]byte(m), &o); err != nil {
			t.Fatalf("%s: %v in %s", what, err, m)
		}
		name := o.Metadata.Annotations[object.AnnotationSelf]
		if got := canonical(t, []byte(m)); got != want[name] {
			t.Errorf("%s: %s\ngot  %s\nwant %s", what, name, got, want[name])
		}
	}
}

// canonical is JSON with its keys in order and no space.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
