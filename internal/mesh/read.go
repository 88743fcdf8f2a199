package mesh

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// A revision's spec is read as far as the compiler looks into it, which is little of it: reading it whole by reflection would
// be most of the work of a new revision. The functions here split JSON that is known to be valid, and leave values as they
// are written.

// each calls do for the fields of an object, in their order. null has none; other values are refused.
func each(object []byte, do func(key string, value []byte) error) error {
	i, err := enter(object, '{')
	if err != nil || i < 0 {
		return err
	}
	for i = space(object, i); object[i] != '}'; i = space(object, i) {
		to := end(object, i)
		key, err := text(object[i:to])
		if err != nil {
			return err
		}
		i = space(object, space(object, to)+len(":"))
		to = end(object, i)
		if err := do(key, object[i:to]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if i = space(object, to); object[i] == ',' {
			i++
		}
	}
	return nil
}

// eachOf calls do for the values of a list, in their order. null has none; other values are refused.
func eachOf(list []byte, do func(value []byte) error) error {
	i, err := enter(list, '[')
	if err != nil || i < 0 {
		return err
	}
	n := 0
	for i = space(list, i); list[i] != ']'; i = space(list, i) {
		to := end(list, i)
		if err := do(list[i:to]); err != nil {
			return fmt.Errorf("[%d]: %w", n, err)
		}
		n++
		if i = space(list, to); list[i] == ',' {
			i++
		}
	}
	return nil
}

// enter is the place after the bracket that a value begins with; below zero for null.
func enter(value []byte, bracket byte) (int, error) {
	i := space(value, 0)
	switch value[i] {
	case bracket:
		return i + 1, nil
	case 'n':
		return -1, nil
	case '{', '[':
		return 0, fmt.Errorf("it begins with %q, not %q", value[i], bracket)
	default:
		return 0, fmt.Errorf("%.20s is no object or list", value[i:])
	}
}

// text reads a string; null is the empty one.
func text(value []byte) (string, error) {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) {
		return string(value[1 : len(value)-1]), nil
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

// space is the next place that is no white space.
func space(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r' {
		i++
	}
	return i
}

// end is the place after the value that begins at i.
func end(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
