package mesh

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	case fields:
		return appendFields(b, v)
	case map[string]any:
		return appendMap(b, v, appendJSON)
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
	var few [8]entry[V]
	list := few[:0]
	for k, v := range m {
		list = append(list, entry[V]{k, v})
	}
	return appendSorted(b, list, value)
}

// entry is one field of a JSON object.
type entry[V any] struct {
	key   string
	value V
}

// fields is a JSON object, with its fields in any order and none twice: what a map would be, at a fraction of the cost.
type fields []field

type field = entry[any]

func sortFields[V any](list []entry[V]) {
	slices.SortFunc(list, func(x, y entry[V]) int { return strings.Compare(x.key, y.key) })
}

func appendFields(b []byte, list fields) []byte {
	var few [8]field
	return appendSorted(b, append(few[:0], list...), appendJSON)
}

// appendSorted sorts the list, which is its own.
func appendSorted[V any](b []byte, list []entry[V], value func([]byte, V) []byte) []byte {
	sortFields(list)
	b = append(b, '{')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, e.key), ':')
		b = value(b, e.value)
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
