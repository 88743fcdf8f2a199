package mesh

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// encode writes canonical JSON: sorted keys, no white space, nothing escaped that need not be. It panics on values that
// JSON cannot express, which none of the drafts holds.
func encode(v any) []byte { return appendJSON(nil, v) }

// appendJSON writes what encoding/json would, without reflection for what drafts are made of: most of a compiler's time
// would go into that. A json.RawMessage must be canonical itself.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case map[string]any:
		return appendMap(b, v, appendJSON)
	case map[string]json.RawMessage:
		return appendMap(b, v, func(b []byte, raw json.RawMessage) []byte { return append(b, raw...) })
	case map[string]string:
		return appendMap(b, v, appendString)
	case []any:
		return appendList(b, v, appendJSON)
	case []string:
		return appendList(b, v, appendString)
	case json.RawMessage:
		return append(b, v...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case bool:
		return strconv.AppendBool(b, v)
	case nil:
		return append(b, "null"...)
	default:
		return appendReflected(b, v)
	}
}

func appendMap[V any](b []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	if m == nil {
		return append(b, "null"...)
	}
	type field struct {
		key   string
		value V
	}
	var few [8]field
	fields := few[:0]
	for k, v := range m {
		fields = append(fields, field{k, v})
	}
	slices.SortFunc(fields, func(x, y field) int { return cmp.Compare(x.key, y.key) })
	b = append(b, '{')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, f.key), ':')
		b = value(b, f.value)
	}
	return append(b, '}')
}

func appendList[V any](b []byte, list []V, value func([]byte, V) []byte) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = value(b, v)
	}
	return append(b, ']')
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendReflected(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendReflected(b []byte, v any) []byte {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("encoding a compiled object: %v", err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
