package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// The sizes of a token's parts, in characters of five bits.
const (
	tokenID     = 6
	tokenSecret = 32
)

// tokenAlphabet is RFC 4648's base32 in lower case.
const tokenAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

var tokenEncoding = base32.NewEncoding(tokenAlphabet).WithPadding(base32.NoPadding)

// Token lets a newcomer in: the id is public, the secret is shown once and kept as its hash alone.
type Token struct {
	ID, Secret string
}

// NewToken draws one; the secret has 160 random bits.
func NewToken() Token {
	// Read fills all of it, or ends the process: see crypto/rand.
	raw := make([]byte, 24)
	rand.Read(raw)
	return Token{ID: tokenEncoding.EncodeToString(raw[20:])[:tokenID], Secret: tokenEncoding.EncodeToString(raw[:20])}
}

// errToken says nothing of what was given: it may hold a secret that was only misplaced.
var errToken = fmt.Errorf("a token is ID.SECRET, %d and %d of the characters a-z and 2-7", tokenID, tokenSecret)

// ParseToken reads the text form, ID.SECRET. Space around it is nothing, since it may come from a file.
func ParseToken(text string) (Token, error) {
	id, secret, ok := strings.Cut(strings.TrimSpace(text), ".")
	if !ok || len(id) != tokenID || len(secret) != tokenSecret || !spelt(id) || !spelt(secret) {
		return Token{}, errToken
	}
	return Token{ID: id, Secret: secret}, nil
}

func spelt(s string) bool { return strings.Trim(s, tokenAlphabet) == "" }

// Text is ID.SECRET. It is no String method, so that no log prints it by accident.
func (t Token) Text() string { return t.ID + "." + t.Secret }

// String is the id alone.
func (t Token) String() string { return "token " + t.ID }

// GoString is String, for the same reason.
func (t Token) GoString() string { return t.String() }

// Hash is what is kept of the secret.
func (t Token) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(t.Secret)) }

// Matches compares the secret with a hash that was kept, in constant time.
func (t Token) Matches(hash [sha256.Size]byte) bool {
	mine := t.Hash()
	return subtle.ConstantTimeCompare(mine[:], hash[:]) == 1
}

// ErrRefused is an enrolment, a redemption or a renewal that the authority will not grant, however often it is asked: the
// token is unknown, spent, expired or for another place, or the place is removed or enrolled.
var ErrRefused = errors.New("refused")

// Refused is an ErrRefused with its reason, which the newcomer is told.
func Refused(format string, args ...any) error {
	return &refusal{reason: fmt.Sprintf(format, args...)}
}

type refusal struct{ reason string }

func (r *refusal) Error() string        { return r.reason }
func (r *refusal) Is(target error) bool { return target == ErrRefused }
