package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"

	"github.com/meridian-federation/meridian/internal/certfile"
)

// freshTLS makes each connection by what the files hold then, so that renewed certificates and authorities are used
// without a restart. Connections that are open stay.
type freshTLS struct {
	credentials.TransportCredentials // for what concerns no connection
	source                           *certfile.Source
	refused                          func(error)
}

// newFreshTLS logs why no connection comes about, which etcd's client keeps to itself while it tries again.
func newFreshTLS(source *certfile.Source, log *slog.Logger) freshTLS {
	often := &rate.Sometimes{First: 1, Interval: time.Minute}
	return freshTLS{credentials.NewTLS(source.Client()), source, func(err error) {
		often.Do(func() { log.Warn("no connection to etcd", "error", err) })
	}}
}

// ClientHandshake implements credentials.TransportCredentials.
func (f freshTLS) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := credentials.NewTLS(f.source.Client()).ClientHandshake(ctx, authority, conn)
	if err != nil {
		f.refused(err)
		return nil, nil, err
	}
	return &fresh{Conn: secured, refused: f.refused}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (f freshTLS) Clone() credentials.TransportCredentials {
	return freshTLS{f.TransportCredentials.Clone(), f.source, f.refused}
}

// fresh is a connection of which the peer has not said anything: by TLS 1.3 a server refuses a client's certificate only
// after the client's handshake.
type fresh struct {
	net.Conn
	refused func(error)
	heard   bool // only the one who reads uses it
}

func (f *fresh) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if err != nil && !f.heard {
		f.refused(err)
	}
	f.heard = true
	return n, err
}

// credentials reads what the configuration names.
func (c OpenConfig) credentials(dial *Config) error {
	var errs []error
	if c.Files != (certfile.Files{}) {
		var err error
		dial.TLS, err = certfile.Open(c.Files, c.Log)
		errs = append(errs, err)
	}
	if c.PasswordFile != "" {
		password, err := os.ReadFile(c.PasswordFile)
		dial.Username, dial.Password = c.Username, strings.TrimSpace(string(password))
		if err == nil && dial.Password == "" {
			err = fmt.Errorf("%s is empty; it should hold the password of etcd's user %s", c.PasswordFile, c.Username)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
