package mesh

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestEncodeIsEncodingJSON holds the encoder against encoding/json, which defines the bytes.
func TestEncodeIsEncodingJSON(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<a & b>", "\u2028", "\xff", "a\"b\\c", "\x7f", "\t"}))
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		kinds := []*rapid.Generator[any]{
			text.AsAny(), rapid.Int32().AsAny(), rapid.Int64().AsAny(), rapid.Int().AsAny(), rapid.Bool().AsAny(), rapid.Float64().AsAny(),
			rapid.Just[any](nil), rapid.SliceOf(text).AsAny(), rapid.MapOf(text, text).AsAny(),
			rapid.SampledFrom([]any{map[string]any(nil), []any(nil), []string(nil), map[string]string(nil), json.RawMessage(`{"a":[1]}`),
				struct{ A int }{1}}),
		}
		if depth > 0 {
			kinds = append(kinds, rapid.MapOf(text, value(depth-1)).AsAny(), rapid.SliceOf(value(depth-1)).AsAny())
		}
		return rapid.OneOf(kinds...)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := value(3).Draw(t, "value")
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if got := encode(v); !bytes.Equal(got, bytes.TrimSuffix(want.Bytes(), []byte("\n"))) {
			t.Fatalf("encode(%#v) = %s, want %s", v, got, want.Bytes())
		}
	})
}

// TestEncodeFields holds fields, in any order, against a map of the same.
func TestEncodeFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.Int()).Draw(t, "fields")
		want, list := map[string]any{}, fields{}
		for key, value := range m {
			want[key] = map[string]any{"a": value}
			list = append(list, field{key, fields{{"a", value}}})
		}
		before := slices.Clone(list)
		if got := encode(list); !bytes.Equal(got, encode(want)) {
			t.Fatalf("encode(%v) = %s, want %s", list, got, encode(want))
		}
		for i := range list {
			if list[i].key != before[i].key {
				t.Fatalf("encoding changed %v to %v", before, list)
			}
		}
	})
}
