// Package certfile is TLS by certificates in files that others renew: cert-manager, a Secret that is mounted, an operator.
// The files are read again at each handshake and taken over when they have changed, with no watch and no restart; what
// cannot be used, such as a certificate whose key has not followed yet, leaves what was there before.
//
// It serves what is not Meridian's own hops: admin servers, etcd, and the mesh's proxies. Those are internal/identity's.
package certfile

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Files are the names of PEM files. Cert and Key go together; CA holds the authorities that peers' certificates are from.
type Files struct{ Cert, Key, CA string }

// Validate takes the names of the settings that the files come from, for what it says.
func (f Files) Validate(cert, key string) error {
	switch {
	case f.Cert != "" && f.Key == "":
		return fmt.Errorf("%s: required where %s is given", key, cert)
	case f.Key != "" && f.Cert == "":
		return fmt.Errorf("%s: required where %s is given", cert, key)
	}
	return nil
}

// Source is what the files hold now.
type Source struct {
	files Files
	log   *slog.Logger
	// warn is for what strangers can repeat: each handshake reads the files.
	warn rate.Sometimes

	mu sync.Mutex
	// read is what was last read, usable or not; pair and pool are the last that were usable. Guarded by mu.
	read contents
	pair *tls.Certificate
	pool *x509.CertPool
}

type contents struct{ cert, key, ca []byte }

func (c contents) equal(o contents) bool {
	return bytes.Equal(c.cert, o.cert) && bytes.Equal(c.key, o.key) && bytes.Equal(c.ca, o.ca)
}

// Open reads the files, which must be usable now. log gets what later is not.
func Open(files Files, log *slog.Logger) (*Source, error) {
	s := &Source{files: files, log: log, warn: rate.Sometimes{First: 1, Interval: time.Minute}}
	read, err := files.read()
	if err != nil {
		return nil, err
	}
	if err := s.take(read); err != nil {
		return nil, err
	}
	s.read = read
	return s, nil
}

// Server is for a listener. A client that shows a certificate must have it from the authorities, if there are any; one
// that shows none is let through, for whoever serves to judge. Sessions are not resumed, so that no client outlasts its
// authority.
func (s *Source) Server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pair, pool := s.now()
			cfg := &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, NextProtos: []string{"h2", "http/1.1"},
				Certificates: []tls.Certificate{*pair}}
			if pool != nil {
				cfg.ClientAuth, cfg.ClientCAs = tls.VerifyClientCertIfGiven, pool
			}
			return cfg, nil
		}}
}

// Client is for one connection: whoever dials takes another for the next. Without authorities the system's are believed.
func (s *Source) Client() *tls.Config {
	pair, pool := s.now()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	if pair != nil {
		cfg.Certificates = []tls.Certificate{*pair}
	}
	return cfg
}

// Authorities are what the CA file holds now, for a listener whose own certificate comes from elsewhere.
func (s *Source) Authorities() *x509.CertPool {
	_, pool := s.now()
	return pool
}

// now reads the files, and takes them over if they changed and can be used.
func (s *Source) now() (*tls.Certificate, *x509.CertPool) {
	read, err := s.files.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && read.equal(s.read) {
		return s.pair, s.pool
	}
	if err == nil {
		s.read = read
		err = s.take(read)
	}
	if err != nil {
		s.warn.Do(func() { s.log.Warn("keeping the certificates that were read before", "error", err) })
	}
	return s.pair, s.pool
}

// take parses all, or changes nothing. s.mu is held, or s not yet shared.
func (s *Source) take(read contents) error {
	var pair *tls.Certificate
	if s.files.Cert != "" {
		parsed, err := tls.X509KeyPair(read.cert, read.key)
		if err != nil {
			return fmt.Errorf("reading the certificate %s with its key %s: %w", s.files.Cert, s.files.Key, err)
		}
		pair = &parsed
	}
	var pool *x509.CertPool
	if s.files.CA != "" {
		if pool = x509.NewCertPool(); !pool.AppendCertsFromPEM(read.ca) {
			return fmt.Errorf("reading authorities: %s holds no certificate in PEM", s.files.CA)
		}
	}
	s.pair, s.pool = pair, pool
	return nil
}

func (f Files) read() (contents, error) {
	var c contents
	var errs []error
	for _, one := range []struct {
		name string
		into *[]byte
	}{{f.Cert, &c.cert}, {f.Key, &c.key}, {f.CA, &c.ca}} {
		if one.name == "" {
			continue
		}
		var err error
		*one.into, err = os.ReadFile(one.name)
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}
