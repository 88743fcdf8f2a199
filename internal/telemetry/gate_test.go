package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/certfile"
	"github.com/meridian-federation/meridian/internal/config"
)

const token = "0123456789abcdef"

// files writes a server's certificate, two authorities with a client each, and a token.
func files(t *testing.T) (at func(name string) string) {
	t.Helper()
	dir := t.TempDir()
	at = func(name string) string { return filepath.Join(dir, name) }
	for _, authority := range []string{"ours", "theirs"} {
		a, err := certfile.NewAuthority(authority, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.Write(at(authority+".ca")),
			a.Issue("server", at(authority+".server.crt"), at(authority+".server.key"), "127.0.0.1"),
			a.Issue("prometheus", at(authority+".client.crt"), at(authority+".client.key"))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("token"), token+"\n")
	return at
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, cfg config.Admin) *Server {
	t.Helper()
	health := NewHealth()
	health.Add("store", func(context.Context) error { return nil })
	server, err := Listen(cfg, Admin{health, NewRegistry("test"), slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
	return server
}

// visitor is a client with its credentials.
type visitor struct {
	files certfile.Files
	token string
	plain bool
}

// get returns the status and the body.
func (v visitor) get(t *testing.T, server *Server, path string) (int, string, error) {
	t.Helper()
	source, err := certfile.Open(v.files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cfg := source.Client()
	if len(cfg.Certificates) > 0 { // shown even where the server names other authorities
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cfg.Certificates[0], nil }
	}
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	scheme := "https://"
	if v.plain {
		scheme = "http://"
	}
	_, port, err := net.SplitHostPort(server.Address())
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"127.0.0.1:"+port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.token != "" {
		request.Header.Set("Authorization", "Bearer "+v.token)
	}
	resp, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestGate(t *testing.T) {
	at := files(t)
	ca := certfile.Files{CA: at("ours.ca")}
	client := certfile.Files{CA: at("ours.ca"), Cert: at("ours.client.crt"), Key: at("ours.client.key")}
	stranger := certfile.Files{CA: at("ours.ca"), Cert: at("theirs.client.crt"), Key: at("theirs.client.key")}
	// On every address, as in a pod.
	others := config.Admin{Address: "0.0.0.0:0", CertFile: at("ours.server.crt"), KeyFile: at("ours.server.key")}
	byToken, byClient, byBoth := others, others, others
	byToken.TokenFile, byBoth.TokenFile = at("token"), at("token")
	byClient.ClientCAFile, byBoth.ClientCAFile = at("ours.ca"), at("ours.ca")
	loopback := config.Admin{Address: "127.0.0.1:0"}
	loopbackToken := config.Admin{Address: "127.0.0.1:0", TokenFile: at("token")}
	tests := []struct {
		name     string
		server   config.Admin
		visitor  visitor
		admitted bool
		fails    bool
	}{
		{name: "the token", server: byToken, visitor: visitor{files: ca, token: token}, admitted: true},
		{name: "no token", server: byToken, visitor: visitor{files: ca}},
		{name: "another token", server: byToken, visitor: visitor{files: ca, token: token + "x"}},
		{name: "a client where a token is asked for", server: byToken, visitor: visitor{files: client}},
		{name: "plain text", server: byToken, visitor: visitor{files: ca, token: token, plain: true}, fails: true},
		{name: "a client", server: byClient, visitor: visitor{files: client}, admitted: true},
		{name: "no client certificate", server: byClient, visitor: visitor{files: ca}},
		{name: "a token where a client is asked for", server: byClient, visitor: visitor{files: ca, token: token}},
		{name: "a client of another authority", server: byClient, visitor: visitor{files: stranger}, fails: true},
		{name: "either: the token", server: byBoth, visitor: visitor{files: ca, token: token}, admitted: true},
		{name: "either: a client", server: byBoth, visitor: visitor{files: client}, admitted: true},
		{name: "either: neither", server: byBoth, visitor: visitor{files: ca}},
		{name: "loopback", server: loopback, visitor: visitor{plain: true}, admitted: true},
		{name: "loopback with a token: none", server: loopbackToken, visitor: visitor{plain: true}},
		{name: "loopback with a token", server: loopbackToken, visitor: visitor{plain: true, token: token}, admitted: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := serve(t, tt.server)
			for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/cmdline"} {
				code, body, err := tt.visitor.get(t, server, path)
				if tt.fails {
					if err == nil && code != http.StatusBadRequest { // what TLS answers to plain text
						t.Errorf("GET %s: got %d, want no answer", path, code)
					}
					continue
				}
				want := http.StatusOK
				if probe := strings.HasSuffix(path, "z"); !probe && !tt.admitted {
					want = http.StatusUnauthorized
				}
				if err != nil || code != want {
					t.Errorf("GET %s: got %d %v, want %d", path, code, err, want)
				}
				if path == "/readyz" && strings.Contains(body, "store") != tt.admitted {
					t.Errorf("GET %s: got %q, want the checks by name only for who is admitted", path, body)
				}
				if path == "/metrics" && strings.Contains(body, "meridian_build_info") != tt.admitted {
					t.Errorf("GET %s: got %q, want metrics only for who is admitted", path, body)
				}
			}
		})
	}
}

func TestGateFollowsItsFiles(t *testing.T) {
	at := files(t)
	server := serve(t, config.Admin{Address: "127.0.0.1:0", CertFile: at("ours.server.crt"), KeyFile: at("ours.server.key"),
		ClientCAFile: at("ours.ca"), TokenFile: at("token")})
	expect := func(stage string, v visitor, want int) {
		t.Helper()
		if code, _, err := v.get(t, server, "/metrics"); code != want || (err != nil) != (want == 0) {
			t.Errorf("%s: got %d %v, want %d", stage, code, err, want)
		}
	}
	byToken := visitor{files: certfile.Files{CA: at("ours.ca")}, token: token}
	expect("the first token", byToken, http.StatusOK)
	write(t, at("token"), "fedcba9876543210")
	expect("the first token when there is another", byToken, http.StatusUnauthorized)
	byToken.token = "fedcba9876543210"
	expect("the second token", byToken, http.StatusOK)
	write(t, at("token"), "")
	byToken.token = ""
	expect("no token when the file is empty", byToken, http.StatusUnauthorized)

	for _, kind := range []string{"server.crt", "server.key", "ca"} {
		if err := os.Rename(at("theirs."+kind), at("ours."+kind)); err != nil {
			t.Fatal(err)
		}
	}
	expect("another server's certificate, and clients' authority",
		visitor{files: certfile.Files{CA: at("ours.ca"), Cert: at("theirs.client.crt"), Key: at("theirs.client.key")}}, http.StatusOK)
	expect("a client of the authority before",
		visitor{files: certfile.Files{CA: at("ours.ca"), Cert: at("ours.client.crt"), Key: at("ours.client.key")}}, 0)
}

func TestListenRefuses(t *testing.T) {
	at := files(t)
	write(t, at("short"), "admin")
	write(t, at("empty"), "\n")
	tests := []struct {
		name string
		cfg  config.Admin
		want string
	}{
		{"other hosts with nothing", config.Admin{Address: "0.0.0.0:0"}, "admin.certFile and keyFile: required"},
		{"a token that is no secret", config.Admin{Address: "127.0.0.1:0", TokenFile: at("short")}, "5 characters; want 16 or more"},
		{"an empty token", config.Admin{Address: "127.0.0.1:0", TokenFile: at("empty")}, "is empty"},
		{"no token", config.Admin{Address: "127.0.0.1:0", TokenFile: at("none")}, "none"},
		{"another's key", config.Admin{Address: "127.0.0.1:0", CertFile: at("ours.server.crt"), KeyFile: at("theirs.server.key")}, "private key does not match"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, err := Listen(tt.cfg, Admin{NewHealth(), NewRegistry("test"), slog.New(slog.DiscardHandler)})
			if err == nil {
				server.listener.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Listen: got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
