package question

import (
	"fmt"
	"time"
)

// Questions about the tokens with which newcomers enrol. Global answers them alone.
const (
	// KindTokenCreate asks with a TokenRequest for a token.
	KindTokenCreate = "token-create"
	// KindTokenList asks with a TokenListRequest for those that are out.
	KindTokenList = "token-list"
	// KindTokenRevoke has with a TokenRevokeRequest one of them refused.
	KindTokenRevoke = "token-revoke"
)

// What a token does where its place is enrolled already.
const (
	// TokenNew refuses.
	TokenNew = ""
	// TokenReplace enrols, and has all earlier certificates of the place refused.
	TokenReplace = "replace"
	// TokenReplica enrols one more process of the place.
	TokenReplica = "replica"
)

// The bounds of a token.
const (
	MaxTokenTTL  = 7 * 24 * time.Hour
	MaxTokenUses = 100
)

// TokenRequest is the payload of KindTokenCreate.
type TokenRequest struct {
	// Target is the place to enrol as.
	Target Path `json:"target"`
	// TTLSeconds is how long the token counts.
	TTLSeconds int64 `json:"ttlSeconds"`
	// Uses is how many processes may enrol with it.
	Uses int32 `json:"uses"`
	// Mode is one of the Token constants.
	Mode string `json:"mode,omitempty"`
}

// TTL is how long the token counts.
func (r TokenRequest) TTL() time.Duration { return time.Duration(r.TTLSeconds) * time.Second }

// Validate refuses what is out of bounds.
func (r TokenRequest) Validate() error {
	switch {
	case r.TTLSeconds < 1 || r.TTLSeconds > int64(MaxTokenTTL/time.Second):
		return fmt.Errorf("%w: ttl: %d seconds are not between 1 second and %d days", ErrInvalid, r.TTLSeconds, MaxTokenTTL/(24*time.Hour))
	case r.Uses < 1 || r.Uses > MaxTokenUses:
		return fmt.Errorf("%w: uses: %d is not between 1 and %d", ErrInvalid, r.Uses, MaxTokenUses)
	case r.Mode != TokenNew && r.Mode != TokenReplace && r.Mode != TokenReplica:
		return fmt.Errorf("%w: mode: %q is neither %s nor %s, nor empty for a place that is not enrolled", ErrInvalid, r.Mode, TokenReplace, TokenReplica)
	case r.Target.Tier() == TierGlobal && r.Mode == TokenNew:
		return fmt.Errorf("%w: target: say --region, and --zone and --cluster where they are meant; "+
			"or --global with --replica, for one more process of Global, or with --replace, for one instead of those that have no root", ErrInvalid)
	}
	return nil
}

// TokenListRequest is the payload of KindTokenList.
type TokenListRequest struct{}

// TokenRevokeRequest is the payload of KindTokenRevoke.
type TokenRevokeRequest struct {
	ID string `json:"id"`
}

// Validate refuses a request that names no token.
func (r TokenRevokeRequest) Validate() error {
	if r.ID == "" {
		return fmt.Errorf("%w: id: say which token is meant", ErrInvalid)
	}
	return nil
}

// MaxTokensListed bounds what one answer lists.
const MaxTokensListed = 2000

// Token is a token as people see it: never its secret.
type Token struct {
	ID     string `json:"id"`
	Target Path   `json:"target"`
	Mode   string `json:"mode,omitempty"`
	// Used of all its Uses are spent.
	Used      int32     `json:"used"`
	Uses      int32     `json:"uses"`
	Expires   time.Time `json:"expires"`
	CreatedBy string    `json:"createdBy"`
	Created   time.Time `json:"created"`
}

// IssuedToken is a token that was just made. This is the one time that its secret is told.
type IssuedToken struct {
	Token
	// Text is what the newcomer presents: it is a secret.
	Text string `json:"token"`
	// Pins are the roots that the newcomer may find at the top of its parent's chain.
	Pins []string `json:"pins"`
	// TrustDomain is that of the tree's own identities.
	TrustDomain string `json:"trustDomain"`
}
