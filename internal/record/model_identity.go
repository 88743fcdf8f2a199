package record

import "time"

// Grant is what is accepted of the certificates of a place. There is none before the place was first enrolled; it outlives
// the place, so that an earlier certificate is refused also when the name comes again.
type Grant struct {
	// Path is the place's: global, region/R, region/R/zone/Z or region/R/zone/Z/cluster/C.
	Path string
	// Generation is the lowest that is accepted.
	Generation uint64
	// Enrolled: somebody has been given a certificate of this generation.
	Enrolled bool
	// Token is the id of the token with which the place was enrolled last.
	Token string
}

// TokenMode is what a token allows for a place that is enrolled already.
type TokenMode string

// The modes of a token.
const (
	// TokenNew enrols a place that is not enrolled.
	TokenNew TokenMode = ""
	// TokenReplace has all earlier certificates of the place refused once it is used.
	TokenReplace TokenMode = "replace"
	// TokenReplica enrols one more process of the place.
	TokenReplica TokenMode = "replica"
)

// Token lets whoever knows its secret enrol as a place.
type Token struct {
	ID string
	// Hash is the SHA-256 of the secret.
	Hash    [32]byte
	Path    string
	Expires time.Time
	// Uses is how many processes may enrol with it; Spent are the SHA-256 of the public keys of those that have.
	Uses  int32
	Spent [][32]byte
	// Generation is the place's when the token was made, and since the first use the one that was given. A token whose
	// generation is no longer the place's is void.
	Generation uint64
	Mode       TokenMode
	CreatedBy  string
	Created    time.Time
}

// Trust is the roots of the hub's own identities.
type Trust struct {
	// Roots are the X.509 certificates that are believed, DER.
	Roots [][]byte
	// Active is the SHA-256 of the public key of the root that signs.
	Active [32]byte
}
