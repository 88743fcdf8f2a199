package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
)

// Why a peer's certificates are refused, in a word, for metrics.
const (
	// CauseAuthority: they lead to no root that is believed, or are none of a peer's.
	CauseAuthority = "authority"
	// CauseExpired: one has ended, or has not begun.
	CauseExpired = "expired"
	// CausePlace: one was issued by an authority of another place, or they contradict each other.
	CausePlace = "place"
	// CauseRevoked: the generation of one no longer counts.
	CauseRevoked = "revoked"
)

// Causes are all of them.
func Causes() []string { return []string{CauseAuthority, CauseExpired, CausePlace, CauseRevoked} }

// objection is an error of a known cause.
type objection struct{ cause, text string }

func object(cause, format string, args ...any) error {
	return &objection{cause, fmt.Sprintf(format, args...)}
}

func (o *objection) Error() string { return o.text }

// Cause is why a handshake was refused.
func Cause(err error) string {
	var known *objection
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &known):
		return known.cause
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CauseExpired
	}
	return CauseAuthority
}
