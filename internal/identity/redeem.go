package identity

import (
	"context"
	"crypto/sha256"

	"github.com/meridian-federation/meridian/internal/question"
)

// Redeemer spends a use of a token for a place, and tells the generation that the newcomer's certificate is to have. Asked
// again for the same key it spends nothing more. What will not be granted is ErrRefused; any other error may pass, here or
// at another process of the parent's.
type Redeemer interface {
	Redeem(ctx context.Context, token string, path question.Path, keyHash [sha256.Size]byte) (generation uint64, err error)
}
