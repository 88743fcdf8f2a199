package config

import (
	"strings"
	"testing"
)

func TestValidateShared(t *testing.T) {
	tests := []struct {
		name string
		part interface{ Validate() error }
		want []string // parts of the error; none for a valid one
	}{
		{name: "audit by default", part: Audit{}},
		{name: "audit with negative bounds", part: Audit{MaxSizeMB: -1, MaxBackups: -2},
			want: []string{"maxSizeMb: -1 is less than 1", "maxBackups: -2 is less than 1"}},
		{name: "etcd in this process", part: Etcd{}},
		{name: "etcd with all", part: Etcd{Endpoints: []string{"https://etcd:2379"}, CAFile: "a", CertFile: "c", KeyFile: "k", Username: "u", PasswordFile: "p"}},
		{name: "etcd on loopback", part: Etcd{Endpoints: []string{"http://127.0.0.1:2379", "http://[::1]:2379"}}},
		{name: "etcd on a socket", part: Etcd{Endpoints: []string{"unix:///run/etcd"}}},
		{name: "etcd with and without TLS", part: Etcd{Endpoints: []string{"http://127.0.0.1:2379", "https://etcd:2379"}}, want: []string{"endpoints: all of one scheme"}},
		{name: "etcd in plain text", part: Etcd{Endpoints: []string{"http://etcd:2379"}}, want: []string{"endpoints: \"http://etcd:2379\" is plain text to another host; want https://etcd:2379"}},
		{name: "etcd in plain text with certificates", part: Etcd{Endpoints: []string{"http://127.0.0.1:2379"}, CAFile: "a"}, want: []string{"want https://127.0.0.1:2379"}},
		{name: "etcd with no scheme", part: Etcd{Endpoints: []string{"etcd:2379", ""}}, want: []string{"\"etcd:2379\" is none of https://HOST:PORT", "\"\" is none of"}},
		{name: "etcd in this process with certificates", part: Etcd{CAFile: "a"}, want: []string{"endpoints: required where a file or a user"}},
		{name: "etcd with a certificate and no key", part: Etcd{Endpoints: []string{"https://e:1"}, CertFile: "c"}, want: []string{"keyFile: required"}},
		{name: "etcd with a user and no password", part: Etcd{Endpoints: []string{"https://e:1"}, Username: "u"}, want: []string{"username and passwordFile: go together"}},
		{name: "etcd at a bad prefix", part: Etcd{Prefix: "meridian/"}, want: []string{"prefix: \"meridian/\""}},
		{name: "admin on loopback", part: Admin{Address: "127.0.0.1:7401"}},
		{name: "admin on loopback, by name and IPv6", part: Admin{Address: "localhost:0"}},
		{name: "admin on IPv6 loopback", part: Admin{Address: "[::1]:0"}},
		{name: "admin for others with nothing", part: Admin{Address: "10.0.0.7:7401"},
			want: []string{"certFile and keyFile: required where address (10.0.0.7:7401)", "clientCaFile or tokenFile: one is required"}},
		{name: "admin on every address", part: Admin{Address: ":7401"}, want: []string{"certFile and keyFile: required"}},
		{name: "admin on a name", part: Admin{Address: "hub:7401"}, want: []string{"certFile and keyFile: required"}},
		{name: "admin for others with a token in plain text", part: Admin{Address: "10.0.0.7:7401", TokenFile: "t"},
			want: []string{"certFile and keyFile: required"}},
		{name: "admin for others with TLS alone", part: Admin{Address: "10.0.0.7:7401", CertFile: "c", KeyFile: "k"},
			want: []string{"clientCaFile or tokenFile: one is required"}},
		{name: "admin for others with TLS and a token", part: Admin{Address: "10.0.0.7:7401", CertFile: "c", KeyFile: "k", TokenFile: "t"}},
		{name: "admin for others with TLS and client authorities",
			part: Admin{Address: "10.0.0.7:7401", CertFile: "c", KeyFile: "k", ClientCAFile: "a"}},
		{name: "admin with a certificate and no key", part: Admin{Address: "127.0.0.1:0", CertFile: "c"}, want: []string{"keyFile: required where certFile"}},
		{name: "admin with a key and no certificate", part: Admin{Address: "127.0.0.1:0", KeyFile: "k"}, want: []string{"certFile: required where keyFile"}},
		{name: "admin with client authorities and no TLS", part: Admin{Address: "127.0.0.1:0", ClientCAFile: "a"}, want: []string{"clientCaFile: needs certFile"}},
		{name: "admin with no address", part: Admin{Address: "x"}, want: []string{"address: \"x\" is not HOST:PORT"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.part.Validate()
			if len(tt.want) == 0 && err != nil {
				t.Fatalf("Validate: got %v, want nil", err)
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Validate: got %v, want it to say %q", err, want)
				}
			}
		})
	}
}
