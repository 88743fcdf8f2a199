package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
)

// field is one leaf of a configuration struct.
type field struct {
	// path is the Go names from the top to the leaf.
	path  []string
	usage string
	// value is what the field holds after Default: what the help shows.
	value reflect.Value
}

// key is viper's name of the field, which has no case.
func (f field) key() string { return strings.ToLower(strings.Join(f.path, ".")) }

// name is how the file spells the field: etcd.dataDir.
func (f field) name() string {
	parts := make([]string, len(f.path))
	for i, p := range f.path {
		parts[i] = camel(p)
	}
	return strings.Join(parts, ".")
}

func (f field) flag() string {
	parts := make([]string, len(f.path))
	for i, p := range f.path {
		parts[i] = kebab(p)
	}
	return strings.Join(parts, "-")
}

func (f field) env() string {
	return EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(f.flag(), "-", "_"))
}

func (f field) isMap() bool { return f.value.Kind() == reflect.Map }

// fieldsOf lists the leaves of a pointer to a struct, in the order of the struct.
func fieldsOf(into any) ([]field, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("a configuration of type %T is not a pointer to a struct", into)
	}
	return walk(nil, v.Elem()), nil
}

func walk(path []string, v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() {
			continue
		}
		at := path
		if !sf.Anonymous {
			at = append(append([]string{}, path...), sf.Name)
		}
		if sf.Type.Kind() == reflect.Struct {
			out = append(out, walk(at, v.Field(i))...)
			continue
		}
		out = append(out, field{path: at, usage: sf.Tag.Get("usage"), value: v.Field(i)})
	}
	return out
}

// newFlags makes a flag for each field, which shows the field's default and remembers whether it was given.
func newFlags(name string, fields []field) (*pflag.FlagSet, error) {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {}
	flags.String("config", "", "configuration file (YAML, JSON or TOML)")
	flags.Bool("version", false, "print the version and exit")
	for _, f := range fields {
		switch value := f.value.Interface().(type) {
		case string:
			flags.String(f.flag(), value, f.usage)
		case bool:
			flags.Bool(f.flag(), value, f.usage)
		case int, int8, int16, int32, int64:
			flags.Int64(f.flag(), f.value.Int(), f.usage)
		case uint, uint8, uint16, uint32, uint64:
			flags.Uint64(f.flag(), f.value.Uint(), f.usage)
		case float32, float64:
			flags.Float64(f.flag(), f.value.Float(), f.usage)
		case time.Duration:
			flags.Duration(f.flag(), value, f.usage)
		case []string:
			flags.StringSlice(f.flag(), value, f.usage)
		case map[string]string:
			flags.StringToString(f.flag(), value, f.usage)
		default:
			return nil, fmt.Errorf("%s: a field of type %s cannot be configured", f.name(), f.value.Type())
		}
	}
	return flags, nil
}

// textToMap reads a=1,b=2, the form that a variable has, into a map.
func textToMap(from, to reflect.Type, data any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[map[string]string]() {
		return data, nil
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(data.(string), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not NAME=VALUE", pair)
		}
		out[name] = value
	}
	return out, nil
}

// camel is dataDir for DataDir, and id for ID.
func camel(s string) string {
	words := strings.Split(kebab(s), "-")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// kebab is data-dir for DataDir, and pod-id for PodID.
func kebab(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) {
			ends := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]) || ends {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
