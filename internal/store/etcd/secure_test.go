package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
	"github.com/meridian-federation/meridian/internal/store/etcd"
	"github.com/meridian-federation/meridian/internal/store/storetest"
)

const password = "correct horse"

// secured is a server with TLS and users, each with one prefix, made by the commands in docs/security.md.
type secured struct {
	dir    string
	server *etcd.Server
}

func (s *secured) file(name string) string { return filepath.Join(s.dir, name) }

// files are those of a user who shows a certificate, or of anybody with none.
func (s *secured) files(user string) certfile.Files {
	f := certfile.Files{CA: s.file("ca.crt")}
	if user != "" {
		f.Cert, f.Key = s.file(user+".crt"), s.file(user+".key")
	}
	return f
}

func (s *secured) issue(t *testing.T, users ...string) {
	t.Helper()
	authority, err := certfile.NewAuthority("etcd", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{authority.Write(s.file("ca.crt")), authority.Issue("server", s.file("server.crt"), s.file("server.key"), "127.0.0.1")}
	for _, user := range users {
		errs = append(errs, authority.Issue(user, s.file(user+".crt"), s.file(user+".key")))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (s *secured) start(t *testing.T, data, listen string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	s.server, err = etcd.Embed(ctx, etcd.EmbedConfig{Dir: data, Listen: listen, TLS: s.files("server"), NoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
}

// newSecured has the users root, nobody, who has no role, and one for each prefix.
func newSecured(t *testing.T, data string, prefixes map[string]string) *secured {
	t.Helper()
	s := &secured{dir: t.TempDir()}
	users := []string{"root", "nobody", "stranger"}
	for user := range prefixes {
		users = append(users, user)
	}
	s.issue(t, users...)
	s.start(t, data, "https://127.0.0.1:0")
	t.Cleanup(func() { stop(t, s.server) })

	source, err := certfile.Open(s.files("root"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.server.Endpoint()}, TLS: source.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := s.grant(t.Context(), client, prefixes); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *secured) grant(ctx context.Context, client *clientv3.Client, prefixes map[string]string) error {
	var errs []error
	did := func(_ any, err error) { errs = append(errs, err) }
	byCertificate := &clientv3.UserAddOptions{NoPassword: true}
	for _, user := range []string{"root", "nobody"} {
		did(client.UserAddWithOptions(ctx, user, "", byCertificate))
	}
	did(client.UserGrantRole(ctx, "root", "root"))
	for user, prefix := range prefixes {
		did(client.RoleAdd(ctx, user))
		did(client.RoleGrantPermission(ctx, user, prefix+"/", clientv3.GetPrefixRangeEnd(prefix+"/"), clientv3.PermissionType(clientv3.PermReadWrite)))
		did(client.UserAddWithOptions(ctx, user, "", byCertificate))
		did(client.UserGrantRole(ctx, user, user))
		did(client.UserAdd(ctx, user+"-by-password", password))
		did(client.UserGrantRole(ctx, user+"-by-password", user))
	}
	did(client.AuthEnable(ctx))
	return errors.Join(errs...)
}

// open opens a store as whoever the configuration says.
func (s *secured) open(t *testing.T, cfg etcd.OpenConfig) *etcd.Store {
	t.Helper()
	cfg.Endpoints = []string{s.server.Endpoint()}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	opened, closeStore, err := etcd.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeStore(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return opened
}

// use reads, leads, writes and watches.
func use(ctx context.Context, s *etcd.Store) error {
	if _, err := s.Load(ctx); err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	term, err := s.Campaign(ctx, "a")
	if err != nil {
		return fmt.Errorf("campaigning: %w", err)
	}
	position, err := s.Commit(ctx, term, store.Batch{Writes: []store.Write{{Record: record.New(record.Key{Kind: "test", Name: "a"}, []byte("x"))}}})
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	seen := errors.New("seen")
	if err := s.Watch(ctx, position.Revision-1, func() {}, func(store.Delta) error { return seen }); !errors.Is(err, seen) {
		return fmt.Errorf("watching: %w", err)
	}
	return term.Resign(ctx)
}

func TestUsersSeeTheirOwnPrefixAlone(t *testing.T) {
	const west, east = "/meridian/zone/west-a", "/meridian/zone/east-a"
	s := newSecured(t, t.TempDir(), map[string]string{"zone-west-a": west, "zone-east-a": east})
	passwordFile := s.file("password")
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := &secured{dir: t.TempDir()}
	other.issue(t, "zone-west-a")
	fromElsewhere := other.files("zone-west-a")
	fromElsewhere.CA = s.file("ca.crt")
	tests := []struct {
		name string
		cfg  etcd.OpenConfig
		want string // in the error; none if all is allowed
		log  string // where no connection comes about, which is tried for long: in the log
	}{
		{name: "its own", cfg: etcd.OpenConfig{Prefix: west, Files: s.files("zone-west-a")}},
		{name: "its own, by password", cfg: etcd.OpenConfig{Prefix: east, Files: s.files("nobody"), Username: "zone-east-a-by-password", PasswordFile: passwordFile}},
		{name: "another's", cfg: etcd.OpenConfig{Prefix: west, Files: s.files("zone-east-a")}, want: "permission denied"},
		{name: "another's, by password", cfg: etcd.OpenConfig{Prefix: west, Files: s.files("nobody"), Username: "zone-east-a-by-password", PasswordFile: passwordFile}, want: "permission denied"},
		{name: "one whose name begins with its own", cfg: etcd.OpenConfig{Prefix: west + "b", Files: s.files("zone-west-a")}, want: "permission denied"},
		{name: "the one above its own", cfg: etcd.OpenConfig{Prefix: "/meridian", Files: s.files("zone-west-a")}, want: "permission denied"},
		{name: "a user with no role", cfg: etcd.OpenConfig{Prefix: west, Files: s.files("nobody")}, want: "permission denied"},
		{name: "a certificate that names no user", cfg: etcd.OpenConfig{Prefix: west, Files: s.files("stranger")}, want: "permission denied"},
		{name: "no certificate", cfg: etcd.OpenConfig{Prefix: west, Files: s.files("")}, log: "certificate required"},
		{name: "a certificate of another authority", cfg: etcd.OpenConfig{Prefix: west, Files: fromElsewhere}, log: "unknown certificate authority"},
		{name: "a server of another authority", cfg: etcd.OpenConfig{Prefix: west, Files: other.files("zone-west-a")}, log: "certificate signed by unknown authority"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			logged := errors.New("logged")
			tt.cfg.Log = slog.New(slog.NewTextHandler(lookout{tt.log, func() { cancel(logged) }}, nil))
			err := use(ctx, s.open(t, tt.cfg))
			if tt.log != "" {
				if !errors.Is(err, logged) {
					t.Errorf("got %v, want a log with %q", err, tt.log)
				}
				return
			}
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want nil", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// lookout calls seen when a line of a log has the text, if there is one.
type lookout struct {
	text string
	seen func()
}

func (l lookout) Write(line []byte) (int, error) {
	if l.text != "" && strings.Contains(string(line), l.text) {
		l.seen()
	}
	return len(line), nil
}

// A foreign prefix can neither be watched nor written to, which use does not come to.
func TestUsersWriteAndWatchTheirOwnPrefixAlone(t *testing.T) {
	const west = "/meridian/zone/west-a"
	s := newSecured(t, t.TempDir(), map[string]string{"zone-west-a": west, "zone-east-a": "/meridian/zone/east-a"})
	source, err := certfile.Open(s.files("zone-east-a"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.server.Endpoint()}, TLS: source.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(t.Context(), west+"/records/x/y", "z"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("writing: got %v, want permission denied", err)
	}
	answer := <-client.Watch(t.Context(), west+"/", clientv3.WithPrefix())
	if err := answer.Err(); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("watching: got %v, want permission denied", err)
	}
	if _, err := client.RoleAdd(t.Context(), "mine"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("adding a role: got %v, want permission denied", err)
	}
}

// The whole contract holds for a user who has one prefix.
func TestConformanceOfAUser(t *testing.T) {
	s := newSecured(t, t.TempDir(), map[string]string{"tier": "/tier"})
	var n atomic.Int32
	storetest.Run(t, 12_000, func(*testing.T) storetest.Backend {
		prefix := fmt.Sprintf("/tier/%d", n.Add(1))
		return userBackend{s, func() (*etcd.Store, error) {
			source, err := certfile.Open(s.files("tier"), slog.New(slog.DiscardHandler))
			if err != nil {
				return nil, err
			}
			return etcd.Dial(etcd.Config{Endpoints: []string{s.server.Endpoint()}, Prefix: prefix, TLS: source})
		}}
	})
}

type userBackend struct {
	secured *secured
	open    func() (*etcd.Store, error)
}

func (b userBackend) Open(t *testing.T) store.Store { return backend{open: b.open}.Open(t) }

func (b userBackend) Compact(t *testing.T) {
	t.Helper()
	source, err := certfile.Open(b.secured.files("root"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	compact(t, clientv3.Config{Endpoints: []string{b.secured.server.Endpoint()}, TLS: source.Client()})
}

// All certificates and their authority are others when etcd comes back; a store that is open goes on.
func TestCertificatesThatChange(t *testing.T) {
	data := t.TempDir()
	s := newSecured(t, data, map[string]string{"tier": "/tier"})
	opened := s.open(t, etcd.OpenConfig{Prefix: "/tier", Files: s.files("tier")})
	if err := use(t.Context(), opened); err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(s.server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s.server)
	s.issue(t, "root", "tier")
	s.start(t, data, endpoint.String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := use(ctx, opened)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("using the store that was open: %v", err)
		}
	}
}

func TestOpenRefusesCredentials(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  etcd.OpenConfig
		want string
	}{
		{"no such authority", etcd.OpenConfig{Files: certfile.Files{CA: filepath.Join(dir, "ca.crt")}}, "ca.crt"},
		{"no such password", etcd.OpenConfig{Username: "u", PasswordFile: filepath.Join(dir, "password")}, "password"},
		{"an empty password", etcd.OpenConfig{Username: "u", PasswordFile: empty}, "is empty; it should hold the password of etcd's user u"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Endpoints, tt.cfg.Log = []string{"https://127.0.0.1:1"}, slog.New(slog.DiscardHandler)
			if _, _, err := etcd.Open(t.Context(), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
