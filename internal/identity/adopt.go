package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/meridian-federation/meridian/internal/question"
)

// adoption has a process believe one more root, when its parent shows it: the one that a Global made which had lost its own.
// A person names it by its pin. It is taken over once, so that a pin that stays in a configuration does not bring back a root
// that was dropped since.
type adoption struct {
	mu     sync.Mutex
	pins   [][sha256.Size]byte // guarded by mu; at most one, none when there is nothing to adopt
	folder folder
	done   func(root *x509.Certificate)
}

// adoptFrom has the source take over the root of a pin, unless it was taken over in an earlier run.
func (s *Source) adoptFrom(text string, f folder, done func(root *x509.Certificate)) error {
	if text == "" {
		return nil
	}
	pin, err := ParsePin(text)
	if err != nil {
		return fmt.Errorf("identity.adoptPin: %w", err)
	}
	before, err := f.read(adoptedFile)
	if err != nil {
		return err
	}
	for _, cert := range before.certs {
		if KeyHash(cert) == pin {
			return nil
		}
	}
	s.adoption.mu.Lock()
	defer s.adoption.mu.Unlock()
	s.adoption.pins, s.adoption.folder, s.adoption.done = [][sha256.Size]byte{pin}, f, done
	return nil
}

// adopt verifies a server whose certificates were refused by the root that is to be adopted, and believes that root from
// then on. Where there is none, or the server is not under it, the refusal stays.
func (s *Source) adopt(certs []*x509.Certificate, server question.Path, lowest Lowest, refusal error) (verified, error) {
	s.adoption.mu.Lock()
	defer s.adoption.mu.Unlock()
	root, err := pinned(certs, s.adoption.pins)
	if err != nil {
		return verified{}, refusal
	}
	v, err := verifyServer(certs, x509bundle.FromX509Authorities(s.TrustDomain(), []*x509.Certificate{root}), server, lowest)
	if err != nil {
		return verified{}, errors.Join(refusal, err)
	}
	if err := s.believeToo(root); err != nil {
		return verified{}, fmt.Errorf("adopting the root %s: %w", Pin(root), err)
	}
	s.adoption.pins = nil
	s.adoption.done(root)
	return v, nil
}

// believeToo adds a root. What is kept of it is on the disk before it counts.
func (s *Source) believeToo(root *x509.Certificate) error {
	now, err := s.state()
	if err != nil {
		return err
	}
	roots := append(now.bundle.X509Authorities(), root)
	if err := s.adoption.folder.keepRoots(roots); err != nil {
		return err
	}
	if err := s.adoption.folder.write(adoptedFile, &pem.Block{Type: pemCertificate, Bytes: root.Raw}); err != nil {
		return err
	}
	return s.Install(Credential{Key: now.svid.PrivateKey, Chain: now.svid.Certificates}, roots)
}
