package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/internal/certfile"
)

// The ports that the binaries listen at unless told otherwise: for their children, and for whoever looks after them.
const (
	GlobalPort      = 7400
	GlobalAdminPort = 7401
	RegionPort      = 7410
	RegionAdminPort = 7411
	ZonePort        = 7420
	ZoneAdminPort   = 7421
	AgentAdminPort  = 7431
)

// Loopback is the address of a port on this host alone.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// OnLoopback tells whether HOST:PORT is reached from this host alone. A name other than localhost may be anywhere.
func OnLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Etcd says where a tier keeps its records.
type Etcd struct {
	Endpoints []string `usage:"URLs of the etcd to use; with none, one is run in this process, which nobody else reaches"`
	Prefix    string   `usage:"prefix of all keys, so that several may share one etcd; one of the tier's own unless given"`
	DataDir   string   `usage:"directory of the etcd that is run in this process"`

	CAFile       string `usage:"file of the authorities that etcd's certificates are from, in PEM; the system's unless given; read again when it changes, as are the next two"`
	CertFile     string `usage:"file of the certificate that etcd is shown; its common name is the user, where etcd asks for users"`
	KeyFile      string `usage:"file of that certificate's key"`
	Username     string `usage:"user, where etcd asks for one with a password"`
	PasswordFile string `usage:"file of that user's password; read once"`
}

// TLS are the files of the connections to etcd.
func (e Etcd) TLS() certfile.Files {
	return certfile.Files{Cert: e.CertFile, Key: e.KeyFile, CA: e.CAFile}
}

// Embedded tells whether etcd is to be run in this process.
func (e Etcd) Embedded() bool { return len(e.Endpoints) == 0 }

// At is the prefix of all keys of whoever is at a place, such as zone/west-a: the one that was given, or else, in an etcd
// that others may use, one of that place's own.
func (e Etcd) At(place string) string {
	switch {
	case e.Prefix != "":
		return e.Prefix
	case e.Embedded():
		return "/meridian"
	default:
		return "/meridian/" + place
	}
}

// Default fills in zero fields.
func (e *Etcd) Default() {
	setDefault(&e.DataDir, "data/etcd")
}

// Validate joins all errors.
func (e Etcd) Validate() error {
	var errs []error
	for _, endpoint := range e.Endpoints {
		errs = append(errs, e.reach(endpoint))
	}
	if given := e.CAFile + e.CertFile + e.KeyFile + e.Username + e.PasswordFile; e.Embedded() && given != "" {
		errs = append(errs, errors.New("endpoints: required where a file or a user for etcd is given; the one in this process needs none"))
	}
	if !sameScheme(e.Endpoints) {
		errs = append(errs, errors.New("endpoints: all of one scheme, since the first one's is used for all"))
	}
	errs = append(errs, e.TLS().Validate("certFile", "keyFile"))
	if (e.Username == "") != (e.PasswordFile == "") {
		errs = append(errs, errors.New("username and passwordFile: go together"))
	}
	if e.Prefix != "" && !strings.HasPrefix(e.Prefix, "/") || strings.HasSuffix(e.Prefix, "/") {
		errs = append(errs, fmt.Errorf("prefix: %q does not begin with a slash, or ends with one", e.Prefix))
	}
	return errors.Join(errs...)
}

func sameScheme(endpoints []string) bool {
	for _, endpoint := range endpoints {
		first, _, _ := strings.Cut(endpoints[0], "://")
		if !strings.HasPrefix(endpoint, first+"://") {
			return false
		}
	}
	return true
}

// reach refuses an endpoint over which records would pass other hosts in plain text.
func (e Etcd) reach(endpoint string) error {
	scheme, host, ok := strings.Cut(endpoint, "://")
	switch {
	case ok && scheme == "https", ok && scheme == "unix":
		return nil
	case !ok || scheme != "http":
		return fmt.Errorf("endpoints: %q is none of https://HOST:PORT, unix://PATH and, on loopback, http://HOST:PORT", endpoint)
	case !OnLoopback(host):
		return fmt.Errorf("endpoints: %q is plain text to another host; want https://%s", endpoint, host)
	case e.CAFile+e.CertFile != "":
		return fmt.Errorf("endpoints: %q is plain text, and certificates are given; want https://%s", endpoint, host)
	}
	return nil
}

// Admin says where /healthz, /readyz, /metrics and /debug/pprof are served, and to whom.
type Admin struct {
	Address      string `usage:"address of health, metrics and profiles; one that is not on loopback needs a certificate, and client authorities or a token"`
	CertFile     string `usage:"file of the certificate of the admin address, in PEM; read again when it changes, as are the other files"`
	KeyFile      string `usage:"file of that certificate's key"`
	ClientCAFile string `usage:"file of the authorities whose clients may see metrics and profiles"`
	TokenFile    string `usage:"file of the bearer token with which anybody may see metrics and profiles"`
}

// Default leaves the port to the system; a binary sets its own before.
func (a *Admin) Default() { setDefault(&a.Address, Loopback(0)) }

// TLS are the files of the admin server.
func (a Admin) TLS() certfile.Files {
	return certfile.Files{Cert: a.CertFile, Key: a.KeyFile, CA: a.ClientCAFile}
}

// Validate joins all errors: health, metrics and profiles are not shown to other hosts in plain text, nor the last two
// to everybody.
func (a Admin) Validate() error {
	errs := []error{Address("address", a.Address), a.TLS().Validate("certFile", "keyFile")}
	if a.ClientCAFile != "" && a.CertFile == "" {
		errs = append(errs, errors.New("clientCaFile: needs certFile and keyFile, since clients show certificates over TLS alone"))
	}
	if errs[0] != nil || OnLoopback(a.Address) {
		return errors.Join(errs...)
	}
	if a.CertFile == "" {
		errs = append(errs, fmt.Errorf("certFile and keyFile: required where address (%s) is not on loopback", a.Address))
	}
	if a.ClientCAFile == "" && a.TokenFile == "" {
		errs = append(errs, fmt.Errorf("clientCaFile or tokenFile: one is required where address (%s) is not on loopback", a.Address))
	}
	return errors.Join(errs...)
}

// Log says what is logged, and how, to stderr.
type Log struct {
	Level  string `usage:"least level that is logged: debug, info, warn or error"`
	Format string `usage:"text or json"`
}

// Default is text at info.
func (l *Log) Default() {
	setDefault(&l.Level, "info")
	setDefault(&l.Format, "text")
}

// Validate checks level and format.
func (l Log) Validate() error {
	return errors.Join(
		OneOf("level", strings.ToLower(l.Level), "debug", "info", "warn", "error"),
		OneOf("format", l.Format, "text", "json"),
	)
}

// Audit says where the audit log is kept.
type Audit struct {
	File       string `usage:"file that audit events are written to, one JSON object on each line; the log on stderr unless given"`
	MaxSizeMB  int    `usage:"megabytes at which the audit file is rotated"`
	MaxBackups int    `usage:"rotated audit files that are kept"`
}

// Default keeps a gigabyte: weeks of a busy hub.
func (a *Audit) Default() {
	if a.MaxSizeMB == 0 {
		a.MaxSizeMB = 100
	}
	if a.MaxBackups == 0 {
		a.MaxBackups = 10
	}
}

// Validate joins all errors.
func (a Audit) Validate() error {
	var errs []error
	if a.MaxSizeMB < 0 {
		errs = append(errs, fmt.Errorf("maxSizeMb: %d is less than 1", a.MaxSizeMB))
	}
	if a.MaxBackups < 0 {
		errs = append(errs, fmt.Errorf("maxBackups: %d is less than 1", a.MaxBackups))
	}
	return errors.Join(errs...)
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
