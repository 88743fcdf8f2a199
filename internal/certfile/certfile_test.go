package certfile_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/certfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a folder with an authority and what it issued.
type site struct {
	dir       string
	authority *certfile.Authority
}

func newSite(t *testing.T, name string, issued ...string) site {
	t.Helper()
	authority, err := certfile.NewAuthority(name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := site{t.TempDir(), authority}
	if err := authority.Write(s.file("ca.crt")); err != nil {
		t.Fatal(err)
	}
	for _, one := range issued {
		s.issue(t, one)
	}
	return s
}

func (s site) file(name string) string { return filepath.Join(s.dir, name) }

func (s site) issue(t *testing.T, name string) {
	t.Helper()
	if err := s.authority.Issue(name, s.file(name+".crt"), s.file(name+".key"), "localhost", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
}

func (s site) files(name string) certfile.Files {
	return certfile.Files{Cert: s.file(name + ".crt"), Key: s.file(name + ".key"), CA: s.file("ca.crt")}
}

func open(t *testing.T, files certfile.Files) *certfile.Source {
	t.Helper()
	source, err := certfile.Open(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// serve answers each connection with the name that the client's certificate says, or none.
func serve(t *testing.T, source *certfile.Source) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", source.Server())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn.(*tls.Conn))
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func answer(conn *tls.Conn) {
	defer conn.Close()
	if conn.Handshake() != nil {
		return
	}
	name := "none"
	if peers := conn.ConnectionState().PeerCertificates; len(peers) > 0 {
		name = peers[0].Subject.CommonName
	}
	_, _ = io.WriteString(conn, name)
}

// ask returns who the server says that the client is, and who the server is.
func ask(address string, source *certfile.Source) (client, server string, err error) {
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return "", "", err
	}
	cfg := source.Client()
	cfg.ServerName, _, _ = net.SplitHostPort(address)
	if len(cfg.Certificates) > 0 { // shown even where the server names other authorities
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cfg.Certificates[0], nil }
	}
	conn := tls.Client(raw, cfg)
	defer conn.Close()
	b, err := io.ReadAll(conn)
	if err != nil {
		return "", "", err
	}
	return string(b), conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestHandshake(t *testing.T) {
	ours, theirs := newSite(t, "ours", "server", "client"), newSite(t, "theirs", "server", "client")
	server := open(t, ours.files("server"))
	tests := []struct {
		name   string
		client certfile.Files
		want   string
		fails  string
	}{
		{name: "both from one authority", client: ours.files("client"), want: "client"},
		{name: "no client certificate", client: certfile.Files{CA: ours.file("ca.crt")}, want: "none"},
		{name: "a client of another authority", fails: "unknown certificate authority",
			client: certfile.Files{Cert: theirs.file("client.crt"), Key: theirs.file("client.key"), CA: ours.file("ca.crt")}},
		{name: "a server of another authority", client: theirs.files("client"), fails: "unknown authority"},
		{name: "a server of none of the system's authorities", client: certfile.Files{}, fails: "unknown authority"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := ask(serve(t, server), open(t, tt.client))
			switch {
			case tt.fails == "" && (err != nil || got != tt.want):
				t.Errorf("answer: got %q %v, want %q", got, err, tt.want)
			case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
				t.Errorf("answer: got %q %v, want an error with %q", got, err, tt.fails)
			}
		})
	}
}

// Server, client and both's authorities change while both run.
func TestFilesThatChange(t *testing.T) {
	before, after := newSite(t, "before", "server", "client"), newSite(t, "after", "other-server", "other-client")
	server, client := open(t, before.files("server")), open(t, before.files("client"))
	address := serve(t, server)
	expect := func(stage, wantClient, wantServer string) {
		t.Helper()
		gotClient, gotServer, err := ask(address, client)
		if err != nil || gotClient != wantClient || gotServer != wantServer {
			t.Errorf("%s: got client %q, server %q, %v, want %q and %q", stage, gotClient, gotServer, err, wantClient, wantServer)
		}
	}
	expect("at first", "client", "server")

	move(t, after.file("other-server.crt"), before.file("server.crt"))
	expect("a certificate whose key has not come yet", "client", "server")
	move(t, after.file("other-server.key"), before.file("server.key"))
	if _, _, err := ask(address, client); err == nil {
		t.Error("a server of an authority that the client does not believe yet: got no error")
	}
	join(t, before.file("ca.crt"), after.file("ca.crt"))
	expect("both authorities believed", "client", "other-server")

	move(t, after.file("other-client.key"), before.file("client.key"))
	move(t, after.file("other-client.crt"), before.file("client.crt"))
	expect("another client", "other-client", "other-server")

	if err := os.Remove(before.file("ca.crt")); err != nil {
		t.Fatal(err)
	}
	expect("a file that is gone", "other-client", "other-server")
	move(t, after.file("ca.crt"), before.file("ca.crt"))
	expect("only the new authority", "other-client", "other-server")
}

func TestOpenRefuses(t *testing.T) {
	s := newSite(t, "ours", "a", "b")
	tests := []struct {
		name  string
		files certfile.Files
		want  string
	}{
		{"no such file", certfile.Files{CA: s.file("none.crt")}, "none.crt"},
		{"another's key", certfile.Files{Cert: s.file("a.crt"), Key: s.file("b.key")}, "private key does not match"},
		{"no authority in the file", certfile.Files{CA: s.file("a.key")}, "holds no certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := certfile.Open(tt.files, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestIssuedFilesAreTheOwnersAlone(t *testing.T) {
	s := newSite(t, "ours", "a")
	for _, name := range []string{"a.crt", "a.key", "ca.crt"} {
		info, err := os.Stat(s.file(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s: got %o, want 600", name, got)
		}
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// join appends what other holds to file.
func join(t *testing.T, file, other string) {
	t.Helper()
	var all []byte
	for _, name := range []string{file, other} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
}
