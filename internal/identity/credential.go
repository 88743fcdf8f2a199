package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Credential is a key, and the certificates that speak for it.
type Credential struct {
	Key crypto.Signer
	// Chain is the key's own certificate and those above it, without the root.
	Chain []*x509.Certificate
}

// ends is when the first certificate of the chain ends: none counts for longer.
func (c Credential) ends() time.Time { return earliest(c.Chain) }

func earliest(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, cert := range chain[1:] {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

// generation is the one that the own certificate was issued for.
func (c Credential) generation() uint64 {
	generation, _ := generationOf(c.Chain[0]) // whoever took the chain has verified it
	return generation
}

// newKey makes a key, which never leaves the process but for its own folder.
func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// request asks for a certificate for a key. Of what it says only the key counts.
func request(key crypto.Signer) (csr []byte, err error) {
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return csr, nil
}

// maxRequest bounds a certificate request, in bytes; ours have about 250.
const maxRequest = 4096

// requestedKey is the key that a request asks a certificate for; whoever made the request has it.
func requestedKey(csr []byte) (key crypto.PublicKey, hash [sha256.Size]byte, err error) {
	if len(csr) > maxRequest {
		return nil, hash, Refused("the certificate request has %d bytes, more than %d", len(csr), maxRequest)
	}
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, hash, Refused("the certificate request cannot be read")
	}
	public, ok := parsed.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() && public.Curve != elliptic.P384() {
		return nil, hash, Refused("the certificate request's key is not ECDSA on P-256 or P-384")
	}
	if err := parsed.CheckSignature(); err != nil {
		return nil, hash, Refused("the certificate request is not signed by its own key")
	}
	return public, sha256.Sum256(parsed.RawSubjectPublicKeyInfo), nil
}

// hasKey tells whether the certificate is for the key.
func hasKey(cert *x509.Certificate, key crypto.Signer) bool {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return err == nil && bytes.Equal(public, cert.RawSubjectPublicKeyInfo)
}

// The bounds of what is taken from outside.
const (
	maxChain = 8
	maxRoots = 16
)

// parseCertificates reads DER certificates, at most so many.
func parseCertificates(raw [][]byte, most int) ([]*x509.Certificate, error) {
	if len(raw) == 0 {
		return nil, errors.New("there is no certificate")
	}
	if len(raw) > most {
		return nil, fmt.Errorf("there are %d certificates, more than %d", len(raw), most)
	}
	certs := make([]*x509.Certificate, len(raw))
	for i, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %d of %d: %w", i+1, len(raw), err)
		}
		certs[i] = cert
	}
	return certs, nil
}

// ders are certificates as they are sent.
func ders(certs []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(certs))
	for i, cert := range certs {
		raw[i] = cert.Raw
	}
	return raw
}
