package question

import (
	"encoding/json"
	"testing"
)

// FuzzParsePath holds that whatever is read is written as it was.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"global", "region/west", "region/west/zone/west-a/cluster/west-a-1", "region//zone/x", "a/b/c/d/e/f/g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePath(s); err == nil && p.String() != s {
			t.Errorf("ParsePath(%q): got %q", s, p)
		}
	})
}

// FuzzNode holds that an answer of a child, whatever it is, is refused or can be handed on within its bounds.
func FuzzNode(f *testing.F) {
	f.Add([]byte(`{"tier":"zone","name":"a","children":[{"tier":"cluster","name":"b","application":{"problems":[{"reason":"x"}]}}]}`))
	f.Add([]byte(`{"overview":{"held":{"total":3,"removals":[{"key":"k"}]}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Decode[Node](b)
		if err != nil {
			return
		}
		const limit = 4096
		out, err := encode(n, limit)
		if err == nil && (len(out) > limit || !json.Valid(out)) {
			t.Errorf("encode: got %d bytes, valid %t", len(out), json.Valid(out))
		}
	})
}
