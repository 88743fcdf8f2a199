package identitytest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"

	"github.com/meridian-federation/meridian/internal/config"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
)

// Folder writes a new identity of a place to a folder, as an enrolment leaves it, and returns the settings of a process that
// goes on from there: it renews its certificates by itself, and issues others where it is a tier's. Global's has the root.
func (r *Root) Folder(dir string, path question.Path) (config.Identity, error) {
	cfg := config.Identity{TrustDomain: r.domain.Name(), Dir: dir, CALifetime: r.options.Lives.CA, LeafLifetime: r.options.Lives.Leaf}
	cfg.Default()
	name, c, roots := "root-first.pem", identity.Credential{Key: r.root.Key, Chain: []*x509.Certificate{r.root.Cert}}, []*x509.Certificate(nil)
	if path.Tier() != question.TierGlobal {
		r.mu.Lock()
		defer r.mu.Unlock()
		var err error
		if c, roots, err = r.credential(path); err != nil {
			return cfg, err
		}
		name = "identity.pem"
	}
	own, err := inPEM(c.Key, c.Chain)
	if err != nil {
		return cfg, err
	}
	files := map[string][]byte{name: own}
	if roots != nil {
		if files["roots.pem"], err = inPEM(nil, roots); err != nil {
			return cfg, err
		}
	}
	for name, content := range files {
		if err := replace(filepath.Join(dir, name), content); err != nil {
			return cfg, fmt.Errorf("writing the identity of %s: %w", path, err)
		}
	}
	return cfg, nil
}

// inPEM is a key, unless it is nil, and certificates.
func inPEM(key crypto.Signer, certs []*x509.Certificate) ([]byte, error) {
	var out bytes.Buffer
	if key != nil {
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		_ = pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: raw}) // a buffer takes all
	}
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes(), nil
}
