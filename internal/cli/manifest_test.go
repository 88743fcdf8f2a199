package cli

import (
	"bytes"
	"testing"
)

// FuzzReadDocuments holds that what a person feeds to apply becomes objects or errors, and never ends the command.
func FuzzReadDocuments(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# nothing\n---\na: [b\n"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- 3\n"))
	f.Add([]byte(`{"kind": "List", "apiVersion": "v1", "items": {}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readDocuments("fuzz", bytes.NewReader(b))
		if err != nil {
			return
		}
		byNeed(all)
		for _, m := range all {
			if (m.object == nil) == (m.err == nil) {
				t.Errorf("%s: got object %v and error %v, want one of them", m.source, m.object, m.err)
			}
		}
	})
}
