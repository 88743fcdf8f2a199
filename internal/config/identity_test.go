package config

import (
	"strings"
	"testing"
	"time"
)

func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		name     string
		identity Identity
		want     string
	}{
		{"nothing given", Identity{}, ""},
		{"a token with its pin", Identity{TokenFile: "t", Pin: []string{"sha256:00"}}, ""},
		{"a token without a pin", Identity{TokenFile: "t"}, "pin: is required"},
		{"no such source", Identity{Source: "none"}, `source: "none"`},
		{"files", Identity{Source: IdentityFiles, CertFile: "c", KeyFile: "k", BundleFile: "b"}, ""},
		{"files without a key", Identity{Source: IdentityFiles, CertFile: "c", BundleFile: "b"}, "keyFile: is required"},
		{"files without a bundle", Identity{Source: IdentityFiles, CertFile: "c", KeyFile: "k"}, "bundleFile: is required"},
		{"no socket", Identity{Source: IdentityWorkloadAPI}, "workloadApiAddress: is required"},
		{"too short a life", Identity{LeafLifetime: time.Second}, "leafLifetime: 1s is less than 5s"},
		{"a leaf that outlives its authority", Identity{CALifetime: time.Hour}, "caLifetime: 1h0m0s is less than leafLifetime"},
		{"a root to adopt, of another process", Identity{AdoptRoot: true, Join: []string{"g:1"}}, "adoptRoot: excludes join"},
		{"a root to adopt, of others' identities", Identity{Source: IdentityWorkloadAPI, WorkloadAPIAddress: "s", AdoptRoot: true}, "adoptRoot, adoptPin: are for source authority"},
		{"an address without a port", Identity{Join: []string{"global"}}, `join: "global" is not HOST:PORT`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.identity.Default()
			err := tt.identity.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
