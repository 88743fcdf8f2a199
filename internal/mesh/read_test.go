package mesh

import (
	"encoding/json"
	"testing"
)

// FuzzRead holds what is read of JSON against what encoding/json reads.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `null`, `{"a":1,"b":[{"c":"d\\\"e"},-1.5e3,true,null],"\u0041":{"x":{"y":[[]]}}}`,
		" { \"a\" : [ 1 , \"]\" , { } ] , \"b\" : null } ", `"a"`, `7`, `{"a":{"b":1}}`, `[["a"],{"b":"}"}]`, "{\"\xdc\":\"\xdc\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if !json.Valid(content) {
			return
		}
		got, want := map[string]any{}, map[string]json.RawMessage{}
		err := each(content, func(key string, value []byte) error {
			got[key] = json.RawMessage(value)
			return nil
		})
		if wrong := json.Unmarshal(content, &want); (err == nil) != (wrong == nil) {
			t.Fatalf("fields of %s: error %v, want %v", content, err, wrong)
		}
		compareRead(t, content, got, want)
		var list []any
		var values []json.RawMessage
		err = eachOf(content, func(value []byte) error {
			list = append(list, json.RawMessage(value))
			return nil
		})
		if wrong := json.Unmarshal(content, &values); (err == nil) != (wrong == nil) {
			t.Fatalf("values of %s: error %v, want %v", content, err, wrong)
		}
		compareRead(t, content, list, values)
	})
}

func compareRead(t *testing.T, content []byte, got, want any) {
	t.Helper()
	texts := make([]string, 2)
	for i, v := range []any{got, want} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("of %s was read %q: %v", content, v, err)
		}
		if texts[i] = string(text); texts[i] == "{}" || texts[i] == "[]" {
			texts[i] = "null"
		}
	}
	if texts[0] != texts[1] {
		t.Fatalf("of %s was read %s, want %s", content, texts[0], texts[1])
	}
}
