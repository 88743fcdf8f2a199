package gossip

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(empty, []byte("# none yet\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no id", func(c *Config) { c.ID = "" }, "id: required"},
		{"no log", func(c *Config) { c.Log = nil }, "log: required"},
		{"a long label", func(c *Config) { c.Label = strings.Repeat("z", 256) }, "label: 256 bytes"},
		{"no bind", func(c *Config) { c.Bind = "" }, "bind: required"},
		{"a bind without a port", func(c *Config) { c.Bind = "127.0.0.1" }, "bind: "},
		{"all addresses, none to be reached at", func(c *Config) { c.Bind = ":0" }, "advertise: required"},
		{"an address that is not here", func(c *Config) { c.Bind = "192.0.2.1:7946" }, "bind: "},
		{"an advertise without a port", func(c *Config) { c.Advertise = "127.0.0.1" }, "advertise: "},
		{"a join without a port", func(c *Config) { c.Join = []string{"a:1", "b"} }, `join: "b" is not HOST:PORT`},
		{"a key that is none", func(c *Config) { c.KeyFile = keyFile(t, key(1), "secret!") }, "key 2 is not base64"},
		{"a short key", func(c *Config) { c.KeyFile = keyFile(t, "c2hvcnQ=") }, "key 1 is of 5 bytes"},
		{"no file", func(c *Config) { c.KeyFile = empty + "-not" }, "keyfile: open "},
		{"a file of no keys", func(c *Config) { c.KeyFile = empty }, "holds no key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{ID: "a", Bind: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}
			test.change(&cfg)
			g, err := New(cfg)
			if err == nil {
				_ = g.Close()
				t.Fatalf("no error, want one that contains %q", test.want)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want one that contains %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q tells a key", err)
			}
		})
	}
}

// TestBindTwice shows that a port that is taken is an error that names the field.
func TestBindTwice(t *testing.T) {
	a := run(t, Config{ID: "a"}, nil)
	g, err := New(Config{ID: "b", Bind: a.address, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		_ = g.Close()
		t.Fatal("bound a port twice, want an error")
	}
	if !strings.Contains(err.Error(), "bind: ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %q, want one of bind that says that the address is in use", err)
	}
}
