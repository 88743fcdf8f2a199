//go:build linux

package zonefaults

import (
	"os"
	"path/filepath"

	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/tiertest"
)

// The places of the region, the zone and its clusters.
var (
	regionPlace = question.Path{Region: region}
	zonePlace   = question.Path{Region: region, Zone: zone}
)

func clusterPlace(name string) question.Path {
	return question.Path{Region: region, Zone: zone, Cluster: name}
}

// identity gives a process a certificate of its own, in files, from the authority that the parent and the simulated agents
// have theirs from, and returns the flags by which it finds it.
func (p programs) identity(name string, place question.Path) ([]string, error) {
	dir := p.data("identity-" + name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cfg, err := tiertest.Root().Files(dir, place)
	return []string{"--identity-dir", filepath.Join(dir, "own"), "--identity-source", cfg.Source, "--identity-trust-domain", cfg.TrustDomain,
		"--identity-cert-file", cfg.CertFile, "--identity-key-file", cfg.KeyFile, "--identity-bundle-file", cfg.BundleFile}, err
}
