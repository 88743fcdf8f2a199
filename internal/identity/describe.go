package identity

import (
	"crypto/x509"
	"encoding/hex"

	"github.com/meridian-federation/meridian/internal/question"
)

// PinOf is the pin of a root that is known by its KeyHash.
func PinOf(hash [32]byte) string { return pinPrefix + hex.EncodeToString(hash[:]) }

// ParseRoots reads the roots of a control plane, DER.
func ParseRoots(ders [][]byte) ([]*x509.Certificate, error) { return parseCertificates(ders, maxRoots) }

// Describe is the status as an overview tells it; nil while there is no certificate.
func (s *Source) Describe() *question.Identity {
	status := s.Status()
	if len(status.Roots) == 0 {
		return nil
	}
	out := &question.Identity{Root: PinOf(status.Root), Issued: status.NotBefore, Expires: status.NotAfter, AuthorityExpires: status.AuthorityNotAfter,
		Generation: status.Generation, Serial: status.Serial}
	for _, root := range status.Roots {
		out.Believes = append(out.Believes, PinOf(root))
	}
	return out
}
