package clusteragent

import (
	"encoding/json"
	"testing"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestManifestChecks refuses what the agent could not recognise again.
func TestManifestChecks(t *testing.T) {
	good := configMap(t, "ns", "a", "1")
	id, _ := object.FromKey(good.Key)
	other := configMap(t, "ns", "b", "1")
	tests := map[string]struct {
		version record.Version
		content string
		ok      bool
	}{
		"good":            {good.Version, string(good.Content), true},
		"another object":  {other.Version, string(other.Content), false},
		"another version": {other.Version, string(good.Content), false},
		"no marks":        {good.Version, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"ns"}}`, false},
		"a list":          {good.Version, `[]`, false},
		"cut off":         {good.Version, string(good.Content[:len(good.Content)-1]), false},
		"no metadata":     {good.Version, `{"apiVersion":"v1","kind":"ConfigMap"}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parseManifest(id, tt.version, []byte(tt.content)); (err == nil) != tt.ok {
				t.Errorf("parseManifest = %v, want ok: %t", err, tt.ok)
			}
		})
	}
}

// TestManifestOnly adds one field to metadata and to nothing else.
func TestManifestOnly(t *testing.T) {
	r := compiled(t, idOf("", "ConfigMap", "ns", "a"), "app", fields{"data": fields{"metadata": `{"name":"x"}`}})
	id, _ := object.FromKey(r.Key)
	m, err := parseManifest(id, r.Version, r.Content)
	if err != nil {
		t.Fatal(err)
	}
	var got, want fields
	if err := json.Unmarshal(m.only("uid", "u"), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.Content, &want); err != nil {
		t.Fatal(err)
	}
	want["metadata"].(fields)["uid"] = "u"
	if a, b := string(encode(t, got)), string(encode(t, want)); a != b {
		t.Errorf("only = %s, want %s", a, b)
	}
}

func FuzzParseManifest(f *testing.F) {
	id := idOf("", "ConfigMap", "ns", "a")
	f.Add([]byte(`{"metadata":{"name":"a"}}`))
	f.Add(configMap(f, "ns", "a", "1").Content)
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := parseManifest(id, record.VersionOf(content), content)
		if err == nil && !json.Valid(m.only("uid", "u")) {
			t.Errorf("only makes %s of %s", m.only("uid", "u"), content)
		}
	})
}
