package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/meridian-federation/meridian/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	health := NewHealth()
	var loading error
	health.Add("store", func(context.Context) error { return nil })
	health.Add("mirror", func(context.Context) error { return loading })
	server, err := Listen(config.Admin{Address: "127.0.0.1:0"}, Admin{health, NewRegistry("test"), slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()

	tests := []struct {
		name    string
		path    string
		loading error
		code    int
		want    string
	}{
		{name: "alive", path: "/healthz", code: 200, want: "ok\n"},
		{name: "alive though not ready", path: "/healthz", loading: errors.New("x"), code: 200, want: "ok\n"},
		{name: "ready", path: "/readyz", code: 200, want: "[+] store\n[+] mirror\nready\n"},
		{name: "not ready, with the reason", path: "/readyz", loading: errors.New("12 of 40 read"), code: 503, want: "[+] store\n[-] mirror: 12 of 40 read\nnot ready\n"},
		{name: "metrics", path: "/metrics", code: 200, want: `meridian_build_info{binary="test"`},
		{name: "profiles", path: "/debug/pprof/", code: 200, want: "goroutine"},
		{name: "nothing else", path: "/", code: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			loading = tt.loading
			resp, err := http.Get("http://" + server.Address() + tt.path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.code || !strings.Contains(string(body), tt.want) {
				t.Errorf("GET %s: got %d %q, want %d with %q", tt.path, resp.StatusCode, body, tt.code, tt.want)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

func TestListenNamesATakenAddress(t *testing.T) {
	admin := Admin{NewHealth(), NewRegistry("test"), slog.New(slog.DiscardHandler)}
	first, err := Listen(config.Admin{Address: "127.0.0.1:0"}, admin)
	if err != nil {
		t.Fatal(err)
	}
	defer first.listener.Close()
	if _, err := Listen(config.Admin{Address: first.Address()}, admin); err == nil || !strings.Contains(err.Error(), first.Address()) {
		t.Errorf("Listen: got %v, want it to name %s", err, first.Address())
	}
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("unseen")
	log.Warn("seen", "cluster", "a")
	if got := out.String(); strings.Contains(got, "unseen") || !strings.Contains(got, `"cluster":"a"`) {
		t.Errorf("log: got %q, want one JSON line with the warning", got)
	}
	for _, bad := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := NewLogger(&out, bad[0], bad[1]); err == nil {
			t.Errorf("NewLogger(%q, %q): got no error", bad[0], bad[1])
		}
	}
}
