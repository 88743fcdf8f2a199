package identitytest

import (
	"crypto"
	"crypto/x509"
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
	files := map[string][]byte{}
	for name, certs := range map[string][]*x509.Certificate{cfg.CertFile: chain, cfg.BundleFile: r.Roots()} {
		if files[name], err = inPEM(nil, certs); err != nil {
			return cfg, err
		}
	}
	if files[cfg.KeyFile], err = inPEM(key, nil); err != nil {
		return cfg, err
	}
	for name, content := range files {
		if err := replace(name, content); err != nil {
			return cfg, fmt.Errorf("writing the identity of %s: %w", path, err)
		}
	}
	return cfg, nil
}

// leaf is a new leaf of a place with its chain, and its key.
func (r *Root) leaf(path question.Path) ([]*x509.Certificate, crypto.Signer, error) {
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
	return svid.Certificates, svid.PrivateKey, nil
}

// replace writes a file whole, for its owner alone.
func replace(name string, content []byte) error {
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
