package identity

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/meridian-federation/meridian/internal/question"
)

// Lowest is the lowest generation of a place whose certificates are believed. Tiers make it from their grant records.
type Lowest func(question.Path) uint64

// accepts refuses a generation that is too low for a place; a nil Lowest refuses none.
func (l Lowest) accepts(path question.Path, generation uint64) error {
	if l == nil {
		return nil
	}
	if least := l(path); generation < least {
		return object(CauseRevoked, "the certificate of %s is revoked: its generation is %d, and %d is the lowest that counts", path, generation, least)
	}
	return nil
}

// verified is a chain that holds, from the leaf to a root.
type verified struct {
	path  question.Path
	chain []*x509.Certificate
}

func (v verified) root() *x509.Certificate { return v.chain[len(v.chain)-1] }

// verify holds a leaf and the certificates that were sent with it against the roots of the source and against the rule of
// places. One way from leaf to root that satisfies all is enough: each is a delegation of its own.
func verify(certs []*x509.Certificate, roots x509bundle.Source, lowest Lowest, opts ...x509svid.VerifyOption) (verified, error) {
	if len(certs) == 0 {
		return verified{}, ErrNoCertificate
	}
	if len(certs) > maxChain {
		return verified{}, fmt.Errorf("%d certificates were sent, more than %d", len(certs), maxChain)
	}
	id, chains, err := x509svid.Verify(certs, roots, opts...)
	if err != nil {
		return verified{}, fmt.Errorf("verifying a certificate: %w", err)
	}
	path, err := PathOf(id)
	if err != nil {
		return verified{}, err
	}
	var errs []error
	for _, chain := range chains {
		err := rule(path, chain, lowest)
		if err == nil {
			return verified{path: path, chain: chain}, nil
		}
		errs = append(errs, err)
	}
	return verified{}, errors.Join(errs...)
}

// issued is the certificate that the place above issued; a tier signs its own leaf.
func (v verified) issued() *x509.Certificate {
	issued := v.chain[0]
	for _, cert := range v.chain[1:] {
		if place, ok, err := placeOf(cert); err == nil && ok && place == v.path {
			issued = cert
		}
	}
	return issued
}

// generation is that of the certificate that was issued: a tier could write any into the leaf that it signs.
func (v verified) generation() (uint64, error) { return generationOf(v.issued()) }

// rule holds a leaf's path against the place of every certificate authority above it, and all generations against the
// lowest that count. All certificates of one place have one generation: whoever has the key of an old one cannot sign
// itself a newer. What Global's authorities sign for other places outlives Global's generation, and ends with the root:
// otherwise the whole tree would have to enrol anew when one process of Global is replaced.
func rule(path question.Path, chain []*x509.Certificate, lowest Lowest) error {
	generations := map[question.Path]uint64{}
	for i, cert := range chain {
		at := path
		if i > 0 {
			place, ok, err := placeOf(cert)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if !place.Contains(path) {
				return object(CausePlace, "the certificate of %s was issued below %s, where it does not belong", path, place)
			}
			at = place
		}
		generation, err := generationOf(cert)
		if err != nil {
			return err
		}
		if other, ok := generations[at]; ok && other != generation {
			return object(CausePlace, "the certificates of %s are of two generations, %d and %d", at, other, generation)
		}
		generations[at] = generation
		if at.Tier() == question.TierGlobal && path.Tier() != question.TierGlobal {
			continue
		}
		if err := lowest.accepts(at, generation); err != nil {
			return err
		}
	}
	return nil
}
