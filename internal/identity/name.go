package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/meridian-federation/meridian/internal/question"
)

// IDOf is the SPIFFE id of a place.
func IDOf(domain spiffeid.TrustDomain, path question.Path) (spiffeid.ID, error) {
	id, err := spiffeid.FromPath(domain, "/"+path.String())
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("spelling %s as a SPIFFE id: %w", path, err)
	}
	return id, nil
}

// PathOf is the place that a SPIFFE id spells.
func PathOf(id spiffeid.ID) (question.Path, error) {
	path, err := question.ParsePath(strings.TrimPrefix(id.Path(), "/"))
	if err != nil {
		return question.Path{}, fmt.Errorf("%s spells no place: %w", id, err)
	}
	return path, nil
}

// pathOf is the place of a leaf.
func pathOf(leaf *x509.Certificate) (question.Path, error) {
	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return question.Path{}, fmt.Errorf("reading the SPIFFE id: %w", err)
	}
	return PathOf(id)
}

// KeyHash is the SHA-256 of a certificate's public key (SubjectPublicKeyInfo): what pins and trust/roots hold of a root,
// and tokens of their redeemers.
func KeyHash(cert *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// pinPrefix begins a pin, as it does kubeadm's discovery-token-ca-cert-hash.
const pinPrefix = "sha256:"

// Pin is the text by which a newcomer knows a root before it has any certificate: sha256:HEX of its KeyHash.
func Pin(root *x509.Certificate) string {
	hash := KeyHash(root)
	return pinPrefix + hex.EncodeToString(hash[:])
}

// ParsePin reads the text of a pin.
func ParsePin(text string) (hash [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(text, pinPrefix)
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(hash) {
		return hash, fmt.Errorf("the pin %q is not sha256: and 64 hexadecimal digits", text)
	}
	return [sha256.Size]byte(raw), nil
}
