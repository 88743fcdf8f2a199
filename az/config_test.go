package az

import (
	"strings"
	"testing"
)

// TestAdvertise shows that the zone does not tell anybody an address at which it is not reached.
func TestAdvertise(t *testing.T) {
	for _, test := range []struct{ listen, advertise, want string }{
		{"127.0.0.1:7443", "", ""},
		{"zone.example:7443", "", ""},
		{":7443", "zone.example:7443", ""},
		{":7443", "", "advertise: required"},
		{"0.0.0.0:7443", "", "advertise: required"},
		{"[::]:7443", "", "advertise: required"},
		{"[::]:7443", "0.0.0.0:7443", "advertise: required"},
		{"[::]:7443", "zone.example", "advertise: "},
	} {
		t.Run(test.listen+" "+test.advertise, func(t *testing.T) {
			cfg := Config{ID: "r0", Region: "west", Zone: "a", Listen: test.listen, Advertise: test.advertise}
			cfg.Default()
			err := cfg.Validate()
			if test.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one that contains %q", err, test.want)
			}
		})
	}
}

func TestGossipInTheClear(t *testing.T) {
	for _, test := range []struct {
		name string
		g    GossipConfig
		want string
	}{
		{"none", GossipConfig{}, ""},
		{"with a key", GossipConfig{Bind: "127.0.0.1:7425", KeyFile: "gossip.key"}, ""},
		{"without a key", GossipConfig{Bind: "127.0.0.1:7425"}, "key-file: required where bind is given"},
		{"a key without bind", GossipConfig{KeyFile: "gossip.key"}, "bind: required"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.g.Validate()
			if test.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one that contains %q", err, test.want)
			}
		})
	}
}

func TestWhoMayAskForAuthorization(t *testing.T) {
	for _, test := range []struct {
		name string
		a    AuthorizationConfig
		want string
	}{
		{"nobody", AuthorizationConfig{}, ""},
		{"on loopback", AuthorizationConfig{Address: "127.0.0.1:7422"}, ""},
		{"on loopback over TLS", AuthorizationConfig{Address: "127.0.0.1:7422", ClientCAFile: "mesh.crt"}, ""},
		{"elsewhere", AuthorizationConfig{Address: "10.0.0.1:7422", ClientCAFile: "mesh.crt"}, ""},
		{"anybody elsewhere", AuthorizationConfig{Address: "10.0.0.1:7422"}, "clientCaFile: required where address (10.0.0.1:7422)"},
		{"anybody anywhere", AuthorizationConfig{Address: ":7422"}, "clientCaFile: required where address"},
		{"an authority for no address", AuthorizationConfig{ClientCAFile: "mesh.crt"}, "clientCaFile: is of no use without address"},
		{"no address at all", AuthorizationConfig{Address: "zone"}, "is not HOST:PORT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.a.Validate()
			if test.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one that contains %q", err, test.want)
			}
		})
	}
}
