package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/meridian-federation/meridian/internal/buildinfo"
)

// EnvPrefix begins the name of every variable that is read.
const EnvPrefix = "MERIDIAN"

// ErrDone says that --help or --version was asked for and has been answered: the program has nothing else to do.
var ErrDone = errors.New("nothing to run")

// Struct is a binary's configuration, always as a pointer to a struct.
type Struct interface {
	// Default fills in every zero field. Calling it again changes nothing.
	Default()
	// Validate joins all errors; each names its field as the file does.
	Validate() error
}

// Error is a configuration that cannot be used.
type Error struct{ err error }

func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives what is wrong.
func (e *Error) Unwrap() error { return e.err }

// Load fills into, a pointer to a struct, from a file, the environment and args (without the program's name), fills in
// defaults and validates. What it returns is ErrDone or an *Error.
func Load(name string, into Struct, args []string) error {
	return load(name, into, args, os.Stdout)
}

func load(name string, into Struct, args []string, out io.Writer) error {
	err := fill(name, into, args, out)
	if err == nil || errors.Is(err, ErrDone) {
		return err
	}
	return &Error{err}
}

func fill(name string, into Struct, args []string, out io.Writer) error {
	into.Default()
	fields, err := fieldsOf(into)
	if err != nil {
		return err
	}
	flags, err := newFlags(name, fields)
	if err != nil {
		return err
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(out, "Usage: %s [flags]\n\nEvery flag can also be set in the file that --config names, or in the environment:\n"+
			"--etcd-data-dir is etcd.dataDir in the file and %s_ETCD_DATA_DIR in the environment.\n\n%s", name, EnvPrefix, flags.FlagUsages())
		return ErrDone
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: settings are given as flags", flags.Arg(0))
	}
	if version, _ := flags.GetBool("version"); version {
		fmt.Fprintf(out, "%s %s\n", name, buildinfo.Read())
		return ErrDone
	}
	v, err := layers(fields, flags)
	if err != nil {
		return err
	}
	if err := decode(v, fields); err != nil {
		return err
	}
	into.Default()
	return into.Validate()
}

// layers puts file, environment and flags above each other.
func layers(fields []field, flags *pflag.FlagSet) (*viper.Viper, error) {
	v := viper.New()
	for _, f := range fields {
		if err := v.BindEnv(f.key(), f.env()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name(), err)
		}
		// Only flags that were given: the others hold the defaults, which are below the file.
		if flag := flags.Lookup(f.flag()); flag.Changed {
			if err := v.BindPFlag(f.key(), flag); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name(), err)
			}
		}
	}
	path, _ := flags.GetString("config")
	if path == "" {
		path = os.Getenv(EnvPrefix + "_CONFIG")
	}
	if path == "" {
		return v, nil
	}
	v.SetConfigFile(path)
	if err := v.ReadInConfig(); err != nil {
		return nil, fmt.Errorf("reading the configuration file %s: %w", path, err)
	}
	return v, unknown(path, fields)
}

// decode sets the fields that any layer has a value for.
func decode(v *viper.Viper, fields []field) error {
	var errs []error
	for _, f := range fields {
		if !v.IsSet(f.key()) {
			continue
		}
		f.value.SetZero()
		if err := v.UnmarshalKey(f.key(), f.value.Addr().Interface(), viper.DecodeHook(hooks())); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q cannot be read as %s", f.name(), fmt.Sprint(v.Get(f.key())), f.value.Type()))
		}
	}
	return errors.Join(errs...)
}

// hooks turn the text of variables and flags into a field's type.
func hooks() mapstructure.DecodeHookFunc {
	return mapstructure.ComposeDecodeHookFunc(
		mapstructure.StringToTimeDurationHookFunc(),
		mapstructure.StringToSliceHookFunc(","),
		textToMap,
	)
}

// unknown refuses a file with keys that no field has. It reads the file by itself, since a viper that knows the
// environment mixes the two.
func unknown(path string, fields []field) error {
	file := viper.New()
	file.SetConfigFile(path)
	if err := file.ReadInConfig(); err != nil {
		return fmt.Errorf("reading the configuration file %s: %w", path, err)
	}
	var errs []error
	for _, key := range file.AllKeys() {
		if !known(key, fields, file.Get(key) == nil) {
			errs = append(errs, fmt.Errorf("%s: unknown key %q", path, key))
		}
	}
	return errors.Join(errs...)
}

// known tells whether a field has this key. An empty section, with all its keys commented out, is one too.
func known(key string, fields []field, empty bool) bool {
	for _, f := range fields {
		inMap := f.isMap() && strings.HasPrefix(key, f.key()+".")
		section := empty && strings.HasPrefix(f.key(), key+".")
		if key == f.key() || inMap || section {
			return true
		}
	}
	return false
}
