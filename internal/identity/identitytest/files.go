package identitytest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
)

// Files writes a new certificate for a place, its key and the roots to a folder, as somebody outside would who issues them,
// and returns the settings of a process that reads them there. Called again it renews the certificate.
func (r *Root) Files(dir string, path question.Path) (config.Identity, error) {
	cfg := config.Identity{Source: config.IdentityFiles, TrustDomain: r.domain.Name(), CertFile: filepath.Join(dir, "tls.crt"),
		KeyFile: filepath.Join(dir, "tls.key"), BundleFile: filepath.Join(dir, "ca.crt")}
	cfg.Default()
	chain, key, err := r.leaf(path)
	if err != nil {
		return cfg, err
	}
	var cert, roots bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&cert, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes all
	}
	for _, c := range r.Roots() {
		_ = pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	for name, content := range map[string][]byte{cfg.CertFile: cert.Bytes(), cfg.KeyFile: key, cfg.BundleFile: roots.Bytes()} {
		if err := replace(name, content); err != nil {
			return cfg, fmt.Errorf("writing the identity of %s: %w", path, err)
		}
	}
	return cfg, nil
}

// leaf is a new leaf of a place with its chain, and its key in PEM.
func (r *Root) leaf(path question.Path) ([]*x509.Certificate, []byte, error) {
	var source *identity.Source
	if path.Tier() == question.TierCluster {
		s, err := r.Source(path)
		if err != nil {
			return nil, nil, err
		}
		source = s
	} else {
		a, err := r.Authority(path)
		if err != nil {
			return nil, nil, err
		}
		if err := a.Refresh(); err != nil {
			return nil, nil, err
		}
		source = a.Source()
	}
	svid, err := source.GetX509SVID()
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(svid.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return svid.Certificates, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}

// replace writes a file whole, for its owner alone.
func replace(name string, content []byte) error {
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
