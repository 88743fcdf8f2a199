package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meridian-federation/meridian/internal/question"
)

// organization marks the certificates that Meridian's own authorities issue, whose subject says place and generation.
const organization = "meridian"

// rootLife is how long a root may be used; it is replaced by a rotation, not by a renewal.
const rootLife = 10 * 365 * 24 * time.Hour

// maxSkew is how far the clock of a peer may lag behind the issuer's, and is believed at most.
const maxSkew = 5 * time.Minute

// depths are how many CAs there may be below one of a tier, besides itself.
var depths = map[question.Tier]int{question.TierGlobal: 2, question.TierRegion: 1, question.TierZone: 0}

// ours tells whether the certificate is one of Meridian's own authorities'.
func ours(cert *x509.Certificate) bool {
	return slices.Contains(cert.Subject.Organization, organization)
}

// placeOf is the place that a CA certificate may sign for; ok is false if it says none.
func placeOf(ca *x509.Certificate) (path question.Path, ok bool, err error) {
	if !ours(ca) {
		return question.Path{}, false, nil
	}
	path, err = question.ParsePath(ca.Subject.CommonName)
	if err != nil {
		return question.Path{}, false, fmt.Errorf("reading the place of a certificate authority: %w", err)
	}
	return path, true, nil
}

// generationOf is the generation that a certificate was issued for; 0 where an outside authority issued it.
func generationOf(cert *x509.Certificate) (uint64, error) {
	if !ours(cert) || cert.Subject.SerialNumber == "" {
		return 0, nil
	}
	generation, err := strconv.ParseUint(cert.Subject.SerialNumber, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the generation %q of the certificate is not a number", cert.Subject.SerialNumber)
	}
	return generation, nil
}

// serialNumber draws a certificate's number, of 127 random bits.
func serialNumber() *big.Int {
	raw := make([]byte, 16)
	rand.Read(raw)
	raw[0] &= 0x7f
	return new(big.Int).SetBytes(raw)
}

// span is from when and until when a certificate of some life counts. It begins earlier by a twelfth of its life, for
// peers whose clocks lag, and ends no later than its issuer's.
func span(now time.Time, life time.Duration, issuerEnds time.Time) (from, until time.Time) {
	until = now.Add(life)
	if until.After(issuerEnds) {
		until = issuerEnds
	}
	return now.Add(-min(life/12, maxSkew)), until
}

// rootTemplate is a self-signed root. Its common name tells two roots apart for people.
func rootTemplate(domain spiffeid.TrustDomain, now time.Time) *x509.Certificate {
	number := serialNumber()
	from, until := span(now, rootLife, now.Add(rootLife))
	return &x509.Certificate{
		SerialNumber:          number,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("root of %s, %x", domain.Name(), number.Bytes()[:4])},
		URIs:                  []*url.URL{domain.ID().URL()},
		NotBefore:             from,
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            depths[question.TierGlobal] + 1,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// caTemplate is the certificate by which a process of a tier signs for what is below its place.
func caTemplate(domain spiffeid.TrustDomain, path question.Path, generation uint64) *x509.Certificate {
	depth := depths[path.Tier()]
	return &x509.Certificate{
		Subject: pkix.Name{Organization: []string{organization}, CommonName: path.String(),
			SerialNumber: strconv.FormatUint(generation, 10)},
		URIs:                  []*url.URL{domain.ID().URL()},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            depth,
		MaxPathLenZero:        depth == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// leafTemplate is the certificate by which a process shows who it is, to those that it dials and to those that dial it.
func leafTemplate(id spiffeid.ID, generation uint64) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, SerialNumber: strconv.FormatUint(generation, 10)},
		URIs:                  []*url.URL{id.URL()},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
}

// sign makes the certificate of a template, for a key, by an issuer's.
func sign(template, issuer *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		template.SerialNumber = serialNumber()
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, signer)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading what was signed: %w", err)
	}
	return cert, nil
}
