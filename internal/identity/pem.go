package identity

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The types of PEM blocks.
const (
	pemKey         = "PRIVATE KEY"
	pemCertificate = "CERTIFICATE"
	pemToken       = "MERIDIAN TOKEN SHA256"
	pemGeneration  = "MERIDIAN GENERATION"
)

// held is what a PEM file of ours holds.
type held struct {
	key   crypto.Signer
	certs []*x509.Certificate
	token []byte
}

// maxPEM bounds a PEM file, in bytes.
const maxPEM = 1 << 20

func parsePEM(content []byte) (held, error) {
	var h held
	if len(content) > maxPEM {
		return h, fmt.Errorf("it has %d bytes, more than %d", len(content), maxPEM)
	}
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		switch block.Type {
		case pemKey:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return held{}, fmt.Errorf("reading its key: %w", err)
			}
			signer, ok := key.(crypto.Signer)
			if !ok || h.key != nil {
				return held{}, errors.New("it has a key that does not sign, or several")
			}
			h.key = signer
		case pemCertificate:
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return held{}, fmt.Errorf("reading its certificate %d: %w", len(h.certs)+1, err)
			}
			h.certs = append(h.certs, cert)
		case pemToken:
			h.token = block.Bytes
		}
	}
	if h.key == nil && len(h.certs) == 0 {
		return held{}, errors.New("it holds neither a key nor a certificate in PEM")
	}
	return h, nil
}

func keyBlock(key crypto.Signer) (*pem.Block, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return &pem.Block{Type: pemKey, Bytes: raw}, nil
}

func certBlocks(certs []*x509.Certificate) []*pem.Block {
	blocks := make([]*pem.Block, len(certs))
	for i, c := range certs {
		blocks[i] = &pem.Block{Type: pemCertificate, Bytes: c.Raw}
	}
	return blocks
}
